"""Every public name of keras_tcl with its signature, one a line.

    make snapshot    # or: python -m tests.snapshots.names

writes `public_names.txt`, which `tests/test_package.py` compares. A change of
that file in a review is a change of what users may rely on. Left out is what
a class has from another public class, or as Keras or Python declares it.
"""

import inspect
import pathlib
import types

import keras_tcl

PATH = pathlib.Path(__file__).with_name("public_names.txt")


def packages():
    """The modules among the public names of keras_tcl, and it itself."""
    public = [getattr(keras_tcl, name) for name in sorted(keras_tcl.__all__)]
    return [*(p for p in public if isinstance(p, types.ModuleType)), keras_tcl]


def public_names():
    """Return {name: object}; the shortest name comes last."""
    return {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in packages()
        for name in sorted(package.__all__)
    }


def snapshot():
    """Return the text, with a newline at its end."""
    lines, names = [], {}
    for name, public in public_names().items():
        if isinstance(public, types.ModuleType):
            continue
        if not callable(public):
            lines.append(name)
        elif public in names:
            lines.append(f"{name} = {names[public]}")
        else:
            names[public] = name
            lines.append(f"{name}{signature(public)}")
            if inspect.isclass(public):
                lines += members_of(public, name)
    return "\n".join(lines) + "\n"


def members_of(public, name):
    """Its base, where that is public, and what the class itself gives."""
    others = [p for p in public_names().values() if inspect.isclass(p)]
    own, base = [], object
    for cls in public.__mro__:
        is_other = cls is not public and cls in others
        if is_other or cls.__module__.split(".")[0] != "keras_tcl":
            base = cls
            break
        own += vars(cls)
    lines = [f"{name} <- {base.__name__}"]
    for member in sorted(set(own)):
        if member.startswith("_"):
            continue
        shown = member_signature(public, member)
        if not hasattr(base, member) or shown != member_signature(base, member):
            lines.append(f"{name}.{member}{shown}")
    return lines


def member_signature(cls, member):
    value = getattr(cls, member, None)
    return signature(value) if callable(value) else ""


def signature(function):
    """Names, kinds and defaults of the arguments, without annotations."""
    found = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in found.parameters.values()
    ]
    return str(
        found.replace(parameters=parameters, return_annotation=found.empty)
    )


if __name__ == "__main__":
    PATH.write_text(snapshot())
    print(f"{PATH.name}: {len(snapshot().splitlines())} lines")
