"""Under oclgrind, tiny shapes of every kernel and branch: no out-of-bounds access, race, uninitialised read or divergent barrier."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from simulator.wrong import MISTAKES

from clconv.tuning import PASSES

TESTS = Path(__file__).parent

OCLGRIND = shutil.which("oclgrind")
pytestmark = pytest.mark.skipif(OCLGRIND is None, reason="oclgrind isn't installed")

# Its uninitialised detector needs code that isn't optimised. Small work-groups: it is slow.
OPTIONS = ("--data-races", "--uninitialized", "--build-options", "-cl-opt-disable", "--max-wgsize", "64", "--max-errors", "40")


def _simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest inside oclgrind; its output holds what was reported."""
    assert OCLGRIND is not None
    driver = next(Path(OCLGRIND).resolve().parents[1].glob("lib*/**/liboclgrind-rt-icd.so"))
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OCL_ICD_VENDORS": str(driver), "PYOPENCL_NO_CACHE": "1", "PYTHONPATH": path, "CLCONV_SELFCHECK": "0"}
    for name in ("CLCONV_DEVICE", "PYOPENCL_CTX", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    python = (sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "simulator.plugin", "-p", "no:cacheprovider", "--device", "oclgrind")
    command = [OCLGRIND, *OPTIONS, *python, *arguments]
    return subprocess.run(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


VARIANTS = [f"{which}-{variant.name}" for which in PASSES for variant in PASSES[which]]


def _clean(*arguments: str) -> None:
    done = _simulated("simulator/tiny.py", *arguments)
    if done.returncode or not re.search(r"\d+ passed", done.stdout):
        pytest.fail(done.stdout, pytrace=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_reported_of_a_variant(variant: str) -> None:
    _clean("-k", variant)


def test_nothing_is_reported_of_arrays() -> None:
    _clean("-k", " and ".join(f"not {variant}" for variant in VARIANTS))


@pytest.mark.parametrize(("mistake", "report"), [pytest.param(name, report, id=name) for name, (_, report) in MISTAKES.items()])
def test_a_mistake_is_reported(mistake: str, report: str) -> None:
    """The check itself, by a kernel that is wrong on purpose."""
    done = _simulated("simulator/wrong.py", "-k", mistake)
    assert done.returncode and "ERROR at teardown of test_mistake" in done.stdout and report in done.stdout, done.stdout
