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
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pyopencl as cl

from clconv.errors import DeviceError

_CHOSEN_BY_USER = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES")
_INTEL = "intelocl64.dll" if sys.platform == "win32" else "libintelocl.so"
# The system's .icd files and the environment's. conda's loader reads the latter alone: what replaces either must hold both.
_SYSTEM, _ENVIRONMENT = Path("/etc/OpenCL/vendors"), Path(sys.prefix, "etc/OpenCL/vendors")
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
    """Show the loader the pip-installed runtimes too, during one query: nothing is left on disk or to child processes."""
    show = _shown_to_khronos_loader if sys.platform == "win32" else _shown_to_ocl_icd
    with nullcontext() if any(os.environ.get(name) for name in _CHOSEN_BY_USER) else show():
        yield


@contextmanager
def _shown_to_ocl_icd() -> Iterator[None]:
    """Serve the loader of pyopencl's Linux wheel: it takes a folder of .icd files that replaces the system's."""
    system = _libraries(_SYSTEM)
    wanted = _with_pip_intel([*system, *_libraries(_ENVIRONMENT)])
    if set(wanted) <= set(system):  # as on macOS: the loader does best alone
        yield
        return
    with tempfile.TemporaryDirectory(prefix="clconv-icd-") as folder, _variable("OCL_ICD_VENDORS", folder):
        for number, library in enumerate(dict.fromkeys(wanted)):
            Path(folder, f"{number}.icd").write_text(library + "\n")
        yield


@contextmanager
def _shown_to_khronos_loader() -> Iterator[None]:
    """Serve the loader of pyopencl's Windows wheel: it takes a list of libraries that it adds to the registry's."""
    intel = _pip_intel()
    if intel is None:
        yield
        return
    # the runtime opens TBB and its compiler, which lie beside it, by bare name when they are needed: PATH must keep their folder
    folder = str(intel.parent)
    if folder not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]
    with _variable("OCL_ICD_FILENAMES", str(intel)):
        yield


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for a while that had no value before."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _libraries(folder: Path) -> list[str]:
    """Read what a folder's .icd files name; files that cannot be read are passed over."""
    libraries = []
    for file in sorted(folder.glob("*.icd")):
        with suppress(OSError, UnicodeDecodeError):
            libraries.append(file.read_text().strip())
    return libraries


def _with_pip_intel(libraries: list[str]) -> list[str]:
    """Add Intel's CPU runtime as pip installs it, unless one that works is there already: two would be two platforms.

    The .icd file in Intel's wheel names a folder of another machine, so those that don't load give way. Whether pip's own loads
    is not asked: the loader passes over a runtime whose libraries are missing.
    """
    known = [library for library in libraries if Path(library).name == _INTEL]
    intel = _pip_intel()
    if intel is None or any(_loads(library) for library in known):
        return libraries
    return [*(library for library in libraries if library not in known), str(intel)]


def _loads(library: str) -> bool:
    """Tell whether the dynamic linker can load a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _pip_intel() -> Path | None:
    """Find Intel's CPU runtime where its distribution says (any prefix, user installs), or else below this environment."""
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    candidates = [Path(str(file.locate())).resolve() for file in files if file.name == _INTEL]
    candidates.append(Path(sys.prefix, "Library/bin" if sys.platform == "win32" else "lib", _INTEL))
    return next((path for path in candidates if path.exists()), None)
