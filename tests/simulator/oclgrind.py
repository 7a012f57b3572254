"""Under oclgrind, tiny shapes of every kernel and branch: no out-of-bounds access, race, uninitialised read or divergent barrier.

It takes minutes, so it runs only when asked for: python -m pytest tests/simulator/oclgrind.py
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clconv import nvidia, units
from clconv.tuning import PASSES
from simulator.wrong import MISTAKES

TESTS = Path(__file__).parents[1]

# Its uninitialised detector needs code that isn't optimised. Small work-groups, for it is slow.
OPTIONS = ("--data-races", "--uninitialized", "--build-options", "-cl-opt-disable", "--max-wgsize", "64", "--max-errors", "40")

VARIANTS = [f"{which}-{variant.name}" for which in PASSES for variant in PASSES[which] if variant.name not in (*nvidia.UNITS, *units.UNITS)]
"""All but those of vendors' instructions, which it doesn't know."""


@pytest.fixture(scope="session")
def oclgrind() -> Path:
    """Path of the program; a failure where it isn't installed, for who runs this asks for it."""
    found = shutil.which("oclgrind")
    assert found is not None, "oclgrind isn't installed: apt-get install oclgrind"
    return Path(found).resolve()


def _simulated(oclgrind: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest inside oclgrind, with its plugin; the output holds what was reported."""
    driver = next(oclgrind.parents[1].glob("lib*/**/liboclgrind-rt-icd.so"))
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OCL_ICD_VENDORS": str(driver), "PYOPENCL_NO_CACHE": "1", "PYTHONPATH": path, "CLCONV_SELFCHECK": "0"}
    for name in ("CLCONV_DEVICE", "PYOPENCL_CTX", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    python = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "-p",
        "simulator.plugin",
        "-p",
        "no:cacheprovider",
        "--device",
        "oclgrind",
    ]
    command = [str(oclgrind), *OPTIONS, *python, *arguments]
    return subprocess.run(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def _check(oclgrind: Path, selection: str) -> None:
    done = _simulated(oclgrind, "simulator/tiny.py", "-k", selection)
    if done.returncode or not re.search(r"\d+ passed", done.stdout):
        pytest.fail(done.stdout, pytrace=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_reported_of_a_variant(variant: str, oclgrind: Path) -> None:
    _check(oclgrind, variant)


def test_nothing_is_reported_of_arrays(oclgrind: Path) -> None:
    _check(oclgrind, " and ".join(f"not {variant}" for variant in VARIANTS))


@pytest.mark.parametrize(("mistake", "report"), [pytest.param(name, report, id=name) for name, (_, report) in MISTAKES.items()])
def test_a_mistake_is_reported(mistake: str, report: str, oclgrind: Path) -> None:
    """The check itself, by a kernel that is wrong on purpose."""
    done = _simulated(oclgrind, "simulator/wrong.py", "-k", mistake)
    assert done.returncode and "ERROR at teardown of test_mistake" in done.stdout and report in done.stdout, done.stdout
