"""What `pip install keras_tcl[...]` asks for, without installing any of it."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BACKENDS = {
    "tensorflow": {"tensorflow-cpu"},
    "tensorflow-cuda": {"tensorflow[and-cuda]"},
    "jax": {"jax"},
    "jax-cuda": {"jax[cuda13]"},
    "torch": {"torch"},
}
MACHINES = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "linux_arm": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "mac": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
}
INSTALLED = {"tensorflow": "tensorflow-cpu"}  # Instead of what is asked for.


def asked(extra, machine="linux"):
    """What an extra asks for on a machine, those within it included."""
    environment = {**default_environment(), **MACHINES[machine]}
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is not None and not marker.evaluate(environment):
            continue
        if canonicalize_name(requirement.name) == PROJECT["name"]:
            for inner in requirement.extras:
                yield from asked(inner, machine)
        else:
            yield requirement


def names(requirements):
    return {
        r.name + (f"[{','.join(sorted(r.extras))}]" if r.extras else "")
        for r in requirements
    }


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("extra", BACKENDS)
def test_backends(extra, machine):
    expected = BACKENDS[extra]
    if extra == "tensorflow" and machine != "linux":
        expected = {"tensorflow"}
    assert names(asked(extra, machine)) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_has_a_lowest_version(extra, machine):
    for requirement in asked(extra, machine):
        operators = {part.operator for part in requirement.specifier}
        assert operators == {">="}, requirement
        assert requirement.url is None


@pytest.mark.parametrize("extra", EXTRAS)
def test_pinned_and_installed_versions_are_among_those_asked_for(extra):
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    pinned = {canonicalize_name(name): v for name, v in pinned.items()}
    for requirement in asked(extra):
        name = canonicalize_name(requirement.name)
        name = INSTALLED.get(name, name)
        if name in pinned:
            assert requirement.specifier.contains(pinned[name]), requirement
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert requirement.specifier.contains(metadata["Version"]), requirement
        # Such as `cuda13`: pip only warns of an extra that does not exist.
        provided = metadata.get_all("Provides-Extra") or []
        assert requirement.extras <= set(provided), requirement


def test_make_installs_what_runs_on_a_cpu():
    makefile = (ROOT / "Makefile").read_text()
    lines = re.findall(r"EXTRAS := (.*)", makefile)
    lines = [line for line in lines if "GPU_BACKEND" not in line]
    assert len(lines) == 3
    for line in lines:
        extras = line.replace("$(DEMO_BACKEND)", "jax").split(",")
        assert set(extras) <= set(EXTRAS)
        assert not any("cuda" in extra for extra in extras)
        found = {r.name for extra in extras for r in asked(extra)}
        assert "tensorflow" not in found
    help_text = makefile.split("PYTHON ?=")[0]
    assert "CPU" in help_text


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, extra",
    [
        ("tensorflow-cpu", "tensorflow"),
        ("tensorflow", "tensorflow-cuda"),
        ("jax", "jax"),
        ("jax-cuda13-plugin", "jax-cuda"),
        ("torch", "torch"),
    ],
)
def test_the_index_has_a_version(name, extra):
    """Of the backends: what else is asked for, `make` installs anyway."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", name],
        capture_output=True,
        text=True,
        timeout=100,
    )
    versions = re.search(r"Available versions: (.*)", result.stdout)
    if versions is None:
        pytest.skip(f"no index of packages can be asked for {name}")
    (requirement,) = asked(extra)
    found = requirement.specifier.filter(versions.group(1).split(", "))
    assert any(found), f"{requirement}: {versions.group(1)}"
