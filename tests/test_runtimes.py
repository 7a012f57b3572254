"""Drivers: the system's and pip's are found together, each once, the user's choice stands, and no trace is left.

The loader looks for drivers once a process, so each case is a process of its own, with a folder of .icd files made here.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyopencl as cl
import pytest

from clconv import runtimes

INTEL = "Intel(R) OpenCL"
SEARCH = """
import json, os, pathlib, sys
from clconv import runtimes
runtimes._ENVIRONMENT = pathlib.Path(sys.argv[1])
before = dict(os.environ)
names = [platform.name for platform in runtimes.platforms()]
print(json.dumps([names, before == dict(os.environ)]))
"""

PLAIN = """
import json
import pyopencl
print(json.dumps([platform.name for platform in pyopencl.get_platforms()]))
"""


def _environment(**variables: str) -> dict[str, str]:
    """Copy this process's environment, without what chooses drivers."""
    kept = {name: value for name, value in os.environ.items() if name not in runtimes._CHOSEN_BY_USER}
    return {**kept, **variables, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _run(vendors: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SEARCH, str(vendors)]
    return subprocess.run(command, env=_environment(**variables), capture_output=True, text=True, check=False)


def _platforms(vendors: Path, **variables: str) -> list[str]:
    """List the platforms' names that a new process finds; it must leave its environment as it was."""
    done = _run(vendors, **variables)
    assert done.returncode == 0, done.stderr
    names: list[str]
    names, unchanged = json.loads(done.stdout)
    assert unchanged
    return names


@pytest.fixture
def vendors(tmp_path: Path) -> Path:
    """Make a folder for .icd files."""
    folder = tmp_path / "vendors"
    folder.mkdir()
    return folder


@pytest.fixture
def intel() -> str:
    """Name the library of Intel's runtime that pip installed."""
    found = runtimes._pip_intel()
    if found is None:
        pytest.skip("intel-opencl-rt is not installed: pip install 'clconv[cpu]'")
    return str(found)


@pytest.fixture
def pocl() -> str:
    """Name the library of PoCL that pip installed."""
    found = list(Path(cl.__file__).parent.glob(".libs/libpocl-*.so"))
    if not found:
        pytest.skip("pocl-binary-distribution is not installed: pip install 'clconv[pocl]'")
    return str(found[0])


def test_pip_runtime_is_found_without_settings(intel: str, vendors: Path) -> None:
    assert _platforms(vendors).count(INTEL) == 1


def test_pip_runtime_stands_beside_other_drivers(intel: str, pocl: str, vendors: Path) -> None:
    alone = _platforms(vendors)
    (vendors / "pocl.icd").write_text(pocl)  # pyopencl's wheel finds pip's PoCL too: now it has two platforms
    assert sorted(_platforms(vendors)) == sorted([*alone, "Portable Computing Language"])


def test_systems_drivers_stay(intel: str, vendors: Path) -> None:
    listed = subprocess.run([sys.executable, "-c", PLAIN], env=_environment(), capture_output=True, text=True, check=True)
    without = Counter(json.loads(listed.stdout))
    found = Counter(_platforms(vendors))
    assert found == without | Counter({INTEL: 1})


def test_pip_runtime_that_is_the_systems_too_is_listed_once(intel: str, vendors: Path) -> None:
    (vendors / "intel.icd").write_text(intel + "\n")
    assert _platforms(vendors).count(INTEL) == 1


def test_broken_icd_files_are_passed_over(intel: str, vendors: Path) -> None:
    (vendors / "missing.icd").write_text("/nowhere/libintelocl.so\n")
    (vendors / "empty.icd").write_text("")
    (vendors / "binary.icd").write_bytes(b"\xff\xfe\x00")
    (vendors / "folder.icd").mkdir()
    (vendors / "no-driver.icd").write_text("libc.so.6\n")
    assert _platforms(vendors).count(INTEL) == 1


def test_runtime_without_its_libraries_is_passed_over(intel: str, vendors: Path, tmp_path: Path) -> None:
    alone = tmp_path / "prefix" / "libintelocl.so"  # its neighbours stay behind
    alone.parent.mkdir()
    alone.write_bytes(Path(intel).read_bytes())
    (vendors / "intel.icd").write_text(str(alone))
    assert _platforms(vendors).count(INTEL) == 1


def test_user_folder_replaces_what_would_be_found(intel: str, vendors: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (vendors / "intel.icd").write_text(intel)
    done = _run(vendors, OCL_ICD_VENDORS=str(chosen))
    assert INTEL not in done.stdout


def test_user_file_is_the_only_driver(intel: str, vendors: Path) -> None:
    assert _platforms(vendors, OCL_ICD_VENDORS=intel) == [INTEL]


def test_missing_folder_says_what_to_install(vendors: Path) -> None:
    done = _run(vendors, OCL_ICD_VENDORS="/nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "clconv.errors.DeviceError: no OpenCL device was found where OCL_ICD_VENDORS=/nowhere points: install a CPU driver with "
        "`pip install 'clconv[cpu]'` (Intel's, x86-64 Linux and Windows) or `pip install 'clconv[pocl]'` (PoCL, x86-64 Linux), "
        "or the driver of your device's vendor"
    )


def test_nothing_is_left_on_disk(intel: str, vendors: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    assert INTEL in _platforms(vendors, TMPDIR=str(temporary))
    assert list(temporary.iterdir()) == []


def test_runtime_of_another_prefix_is_found_by_its_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "lib" / "python3" / "site-packages" / "intel_opencl_rt-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    record.write_text(f"../../../lib/{runtimes._INTEL},,\nintel_opencl_rt-1.0.dist-info/RECORD,,\n")
    record.with_name("METADATA").write_text("Metadata-Version: 2.1\nName: intel-opencl-rt\nVersion: 1.0\n")
    library = tmp_path / "lib" / runtimes._INTEL
    library.touch()
    monkeypatch.syspath_prepend(str(record.parent.parent))
    assert runtimes._pip_intel() == library


def test_without_the_distribution_the_environment_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert runtimes._pip_intel() is None
    library = tmp_path / "lib" / runtimes._INTEL
    library.parent.mkdir()
    library.touch()
    assert runtimes._pip_intel() == library


def test_windows_loader_is_given_the_file_and_the_runtime_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in runtimes._CHOSEN_BY_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "usual")
    monkeypatch.setattr(runtimes, "_pip_intel", lambda: tmp_path / "intelocl64.dll")
    monkeypatch.setattr(sys, "platform", "win32")
    for _ in range(2):
        with runtimes._pip_runtimes_visible():
            assert os.environ["OCL_ICD_FILENAMES"] == str(tmp_path / "intelocl64.dll")
        assert "OCL_ICD_FILENAMES" not in os.environ
        assert os.environ["PATH"] == f"{tmp_path}{os.pathsep}usual"


def test_threads_see_the_same_platforms() -> None:
    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(lambda _: runtimes.platforms(), range(8))
    assert all(other == first for other in others)
