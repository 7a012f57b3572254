"""Find OpenCL drivers: the system's, and those that pip installed, which no ICD loader knows of."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyopencl as cl

from clconv.errors import DeviceError

_CHOSEN_BY_USER = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES")
_INTEL = "intelocl64.dll" if sys.platform == "win32" else "libintelocl.so"
# conda's loader reads the environment's folder instead of /etc; a folder that replaces either must hold both.
_VENDOR_FOLDERS = (Path("/etc/OpenCL/vendors"), Path(sys.prefix, "etc/OpenCL/vendors"))
_one_at_a_time = threading.Lock()


def platforms() -> list[cl.Platform]:
    """List the OpenCL platforms of this process, with those that pip installed.

    The loader looks for drivers once, at the first query of a process. If clconv makes that query, and the user has not said
    where drivers are (OCL_ICD_VENDORS, OPENCL_VENDOR_PATH or OCL_ICD_FILENAMES), the loader is shown the pip-installed runtimes too.

    Returns
    -------
    list of pyopencl.Platform
        In the order of ``pyopencl.get_platforms()``. A platform may turn out to have no device.

    Raises
    ------
    DeviceError
        If there is no driver at all.
    """
    with _one_at_a_time:
        return list(_platforms())


@functools.cache
def _platforms() -> tuple[cl.Platform, ...]:
    with _pip_runtimes_visible():
        try:
            return tuple(cl.get_platforms())
        except cl.Error as error:
            raise no_driver() from error


def no_driver() -> DeviceError:
    """Make the error for a machine without an OpenCL driver: it says what to install."""
    searched = "".join(f" where {name}={os.environ[name]} points" for name in _CHOSEN_BY_USER if os.environ.get(name))
    return DeviceError(
        f"no OpenCL device was found{searched}: install a CPU driver with `pip install 'clconv[cpu]'` (Intel's, x86-64 Linux and Windows) "
        "or `pip install 'clconv[pocl]'` (PoCL, x86-64 Linux), or the driver of your device's vendor"
    )


@contextmanager
def _pip_runtimes_visible() -> Iterator[None]:
    """Point the loader at the pip-installed runtimes too, during one query: nothing is left on disk or to child processes."""
    intel = None if any(os.environ.get(name) for name in _CHOSEN_BY_USER) else _pip_intel()
    if intel is None or sys.platform == "darwin":
        yield
    elif sys.platform == "win32":
        # The Khronos loader in pyopencl's Windows wheel adds these files to the registry's. The runtime opens its compiler and TBB,
        # which lie beside it, by bare name and not before they are needed: PATH must keep their folder.
        if str(intel.parent) not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = f"{intel.parent}{os.pathsep}{os.environ['PATH']}"
        with _environment("OCL_ICD_FILENAMES", str(intel)):
            yield
    else:
        # ocl-icd, in pyopencl's Linux wheel, knows only a folder that replaces the system's.
        with tempfile.TemporaryDirectory(prefix="clconv-icd-") as folder, _environment("OCL_ICD_VENDORS", folder):
            for name, library in {**_system_drivers(), "clconv-intel.icd": str(intel)}.items():
                Path(folder, name).write_text(library + "\n")
            yield


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for a while that had no value before."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _pip_intel() -> Path | None:
    """Find Intel's CPU runtime as pip installs it, unless it is the system's already: the loader would list it twice.

    The wheel's own .icd file names a folder of the machine that built it. A runtime whose libraries are missing needs no care:
    the loader passes over what cannot be loaded.
    """
    if any(Path(library).name == _INTEL and _loads(library) for library in _system_drivers().values()):
        return None
    return next((path for path in _intel_candidates() if path.exists()), None)


def _intel_candidates() -> Iterator[Path]:
    """Yield where the runtime may be: where its distribution says (any prefix, user installs), then below this environment."""
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())).resolve() for file in files if file.name == _INTEL)
    yield Path(sys.prefix, "Library/bin" if sys.platform == "win32" else "lib", _INTEL)


def _system_drivers() -> dict[str, str]:
    """Read the system's .icd files: name of the file -> library. Those that cannot be read are passed over."""
    drivers: dict[str, str] = {}
    for file in sorted(file for folder in _VENDOR_FOLDERS if folder.is_dir() for file in folder.glob("*.icd")):
        try:
            drivers[f"{len(drivers):02d}-{file.name}"] = file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            continue
    return drivers


def _loads(library: str) -> bool:
    """Tell whether the dynamic linker can load a library: .icd files outlive what they name."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
