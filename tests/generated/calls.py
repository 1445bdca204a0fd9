"""Generated calls: how many a property makes, and what their outcome may be.

`make test` makes a small share of them, the same at every run. The
environment variable `KERAS_TCL_EXAMPLES=10000` makes so many in all, drawn
anew at every run (`--hypothesis-seed` repeats one).
"""

import collections
import functools
import os

import hypothesis
import pytest

MANY = "KERAS_TCL_EXAMPLES" in os.environ
TOTAL = int(os.environ.get("KERAS_TCL_EXAMPLES", 300))
# Of all tests together, about.
SHARES = 16_400

made = collections.Counter()
"""Calls that have passed, by the name of the test."""


def calls(share, **strategies):
    """Decorates a test that is called with what the strategies draw.

    Args:
        share: Integer, how many of all `SHARES` calls are of this test.
        **strategies: As for `hypothesis.given`.
    """

    def decorate(test):
        @functools.wraps(test)
        def counted(*args, **kwargs):
            test(*args, **kwargs)
            made[test.__name__] += 1

        return hypothesis.settings(
            max_examples=max(2, round(share * TOTAL / SHARES)),
            derandomize=not MANY,
            database=None,
            deadline=None,
            print_blob=MANY,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(hypothesis.given(**strategies)(counted))

    return decorate


def assert_refused(call, *words):
    """Check that `call` raises a ValueError that says all of `words`."""
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    for word in words or ("Received",):
        assert word in message, message
