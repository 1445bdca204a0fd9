"""Says at the end how many calls were made."""

import pytest

from tests.generated.calls import made


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Hand the count on with the report, from another process too."""
    before = made.total()
    try:
        return (yield)
    finally:
        calls = made.total() - before
        pyfuncitem.user_properties.append(("generated calls", calls))


def pytest_terminal_summary(terminalreporter):
    counts = {
        report.nodeid: dict(report.user_properties).get("generated calls", 0)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
    }
    total = sum(counts.values())
    if total:
        terminalreporter.write_line(f"{total:,} generated calls")
        for name, count in counts.items():
            if count and terminalreporter.verbosity >= 0:
                terminalreporter.write_line(f"{count:8,} {name}")
