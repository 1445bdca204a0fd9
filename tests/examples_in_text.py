"""Examples in docstrings and Markdown: where they stand, and how they run."""

import ast
import builtins
import re
import sys
import textwrap

import keras

# A fence, the comment before it that says why it is not run, the language.
_FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- (?P<reason>not run: [^>]+) -->\s*$")
_ONLY = re.compile(r"<!-- (?P<reason>run under: (?P<backends>[\w, ]+)) -->\s*$")


def fenced_blocks(text, language):
    """Return (line, code, reason not to run it or `None`) of each block."""
    blocks = []
    for match in _FENCE.finditer(text):
        if match["language"] == language:
            before = text[: match.start()]
            reason = _NOT_RUN.search(before)
            only = _ONLY.search(before)
            if only and keras.config.backend() not in only["backends"]:
                reason = only
            blocks.append(
                (
                    before.count("\n") + 2,
                    textwrap.dedent(match["code"]),
                    reason and reason["reason"],
                )
            )
    return blocks


def compiled(code, path, line):
    """Compile code so that a traceback shows its line in `path`."""
    return compile("\n" * (line - 1) + code, str(path), "exec")


def missing_names(code, given):
    """Return the names that code reads and neither it nor `given` defines."""
    read, bound = set(), set(dir(builtins)) | set(given)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return read - bound


def docstrings(path):
    """Return (name, first line, text) of every docstring of a file."""
    found = []

    def visit(node, name):
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef
        ) or not isinstance(getattr(node, "body", None), list):
            return
        text = ast.get_docstring(node)
        if text is not None:
            found.append((name, node.body[0].lineno, text))
        for child in node.body:
            child_name = getattr(child, "name", None)
            if child_name is not None:
                visit(child, f"{name}.{child_name}" if name else child_name)

    visit(ast.parse(path.read_text()), "")
    return found


class RegistriesKept:
    """What an example registers, by name, is forgotten after it."""

    def __enter__(self):
        registries = [keras.saving.get_custom_objects()]
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "keras_tcl":
                registries += [
                    value
                    for key, value in vars(module).items()
                    if type(value) is dict and not key.startswith("__")
                ]
        self._kept = [(registry, dict(registry)) for registry in registries]

    def __exit__(self, *_):
        for registry, content in self._kept:
            registry.clear()
            registry.update(content)
