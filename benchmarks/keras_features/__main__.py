"""What a Keras user expects of any model, tried one by one.

    KERAS_BACKEND=jax python -m benchmarks.keras_features

`--quick` runs the quick rows and writes nothing; `--missing` those that the
page does not have yet.

Every row is a function of this package: it runs by itself, in a folder of its
own, and checks a number where there is one. What came out is written into the
backend's column of `benchmarks/keras_features.md`:

- right (what was checked);
- refused: the sentence that says why, and names the way;
- Keras' own limit: what Keras does with any model, or asks for;
- WRONG: a number that is not what it should be; FAIL: an error.

The column of version 0.1.0 is what was found by hand before the library was
rebuilt. Exits with 1 if a row is WRONG or a FAIL.
"""

import argparse
import pathlib
import re
import sys
import tempfile
import time
import warnings

import keras

from benchmarks.keras_features import data, models, training
from benchmarks.keras_features.support import ROWS, Limit

BACKEND = keras.config.backend()
BACKENDS = ("tensorflow", "jax", "torch")
PAGE = pathlib.Path(__file__).parent.with_suffix(".md")
HEAD = """# What a Keras user expects

    KERAS_BACKEND=jax python -m benchmarks.keras_features

**Question.** Which features of Keras work with this library's models, and what
becomes of the others?

**Method.** Each row is a function in `benchmarks/keras_features/`, run by
itself on networks of a few channels and a dozen random images. *Right*: it
ran, and what stands in brackets was checked. *Refused*: an error whose
sentence names the way. *Keras' own limit*: what Keras does with any model, or
a package that was not installed. *WRONG* is a number that is not what it
should be, *FAIL* an error. Version 0.1.0 is what was found by hand before the
library was rebuilt. Nothing here says anything about accuracy.

| feature | version 0.1.0 | tensorflow | jax | torch |
| --- | --- | --- | --- | --- |
"""
# Imported for their rows, in the order of the table.
GROUPS = (data, training, models)


def outcome(row, folder):
    """What became of one row, as a cell of the table."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    policy = keras.config.dtype_policy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            said = row.function(folder)
        except Limit as limit:
            return f"Keras' own limit: {limit}"
        except AssertionError as error:
            return f"WRONG: {in_one_line(error)}"
        except Exception as error:
            return f"FAIL: {type(error).__name__}: {in_one_line(error)}"
        finally:
            keras.config.set_dtype_policy(policy)
    return said if said.startswith("refused") else f"right ({said})"


def in_one_line(error, length=150):
    text = re.sub(r"\s+", " ", str(error)).replace("|", "/")
    return text if len(text) <= length else f"{text[:length]} ..."


def read_page(path):
    """{feature: {column: cell}} of the page as it is."""
    cells = {}
    text = path.read_text() if path.exists() else ""
    for line in text.partition("| --- |")[2].splitlines():
        parts = [part.strip() for part in line.strip("| ").split(" | ")]
        if line.startswith("| ") and len(parts) == 2 + len(BACKENDS):
            columns = dict(zip(BACKENDS, parts[2:], strict=True))
            cells[parts[0]] = columns
    return cells


def write_page(path, results):
    """Put `results`, {feature: cell}, into this backend's column."""
    cells = read_page(path)
    lines = []
    for row in ROWS:
        columns = cells.get(row.feature, {})
        if row.feature in results:
            columns[BACKEND] = results[row.feature]
        shown = " | ".join(columns.get(name, "not run") for name in BACKENDS)
        lines.append(f"| {row.feature} | {row.before} | {shown} |\n")
    path.write_text(HEAD + "".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="part of a feature's name")
    parser.add_argument(
        "--missing", action="store_true", help="rows that the page lacks"
    )
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    arguments = parser.parse_args()
    results, kept = {}, read_page(arguments.page)
    for row in ROWS:
        cell = kept.get(row.feature, {}).get(BACKEND, "not run")
        if arguments.missing and cell != "not run":
            continue
        if arguments.quick and not row.quick:
            continue
        if arguments.only.lower() not in row.feature.lower():
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            results[row.feature] = outcome(row, pathlib.Path(folder))
        seconds = time.perf_counter() - start
        print(f"{seconds:5.1f} s  {row.feature}: {results[row.feature]}")
        sys.stdout.flush()
        if not arguments.quick:
            write_page(arguments.page, results)
    bad = [v for v in results.values() if v.startswith(("WRONG", "FAIL"))]
    print(f"{len(results)} rows under {BACKEND}, {len(bad)} WRONG or FAIL")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
