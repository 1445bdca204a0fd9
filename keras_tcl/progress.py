"""How far long work is: a bar on a terminal, a plain line elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

import keras

Item = TypeVar("Item")

# Seconds between plain lines: the first pause, then twice the last, at most.
FIRST, LONGEST = 10.0, 600.0


def on_terminal() -> bool:
    """Whether a line of stdout can be overwritten: terminals and notebooks.

    Keras' `Progbar` takes every stream of a POSIX system for one, and so fills
    files with control characters.
    """
    is_terminal = getattr(sys.stdout, "isatty", lambda: False)()
    return bool(is_terminal) or "ipykernel" in sys.modules


def shown(
    iterable: Iterable[Item],
    what: str,
    total: int | None = None,
    after: float = 5.0,
) -> Iterator[Item]:
    """The items of `iterable`, and how many of them are done, for the user.

    On a terminal and in a notebook it is Keras' progress bar. Elsewhere it is
    a plain line on stderr, ever more seldom (10 s, 20 s, 40 s, ... apart, at
    most 10 min), so that a log stays readable. Neither comes where
    `keras.config.disable_interactive_logging()` was called.

    Args:
        iterable: Iterable. An item is done when the next one is asked for.
        what: String, the work, in words that go before a number:
            `"making the frames of recordings"`.
        total: Int, number of items. Defaults to the length of `iterable`,
            where it has one.
        after: Float, seconds before the first sign: shorter work gives none.
            Defaults to `5`.

    Returns:
        An iterator of the items.

    Example:

    >>> from keras_tcl.progress import shown
    >>> [2 * item for item in shown([1, 2, 3], "doubling numbers")]
    [2, 4, 6]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    start = time.monotonic()
    bar = keras.utils.Progbar(total, unit_name="item")
    has_bar = False
    pause, due = FIRST, start + after
    done = 0
    try:
        for item in iterable:
            yield item
            done += 1
            now = time.monotonic()
            if now < due or not keras.config.is_interactive_logging_enabled():
                continue
            if on_terminal():
                if not has_bar:
                    print(f"{what}:")
                    has_bar = True
                bar.update(done, finalize=False)
            else:
                print(_line(what, done, total, now - start), file=sys.stderr)
                due, pause = now + pause, min(2 * pause, LONGEST)
    finally:
        if has_bar:  # Ends its line, after an error too.
            bar.update(done, finalize=True)


def _line(what: str, done: int, total: int | None, seconds: float) -> str:
    if not total:
        return f"keras_tcl: {what}: {done:,}, after {seconds:.0f} s"
    left = seconds / done * (total - done)
    return (
        f"keras_tcl: {what}: {done:,} of {total:,} "
        f"({100 * done // total} %), about {left:.0f} s left"
    )
