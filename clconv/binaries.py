"""Programs as the driver compiled them, kept on disk where the driver's own cache is slow.

PoCL has a source preprocessed before it looks into its cache, 20 ms a program, and a backward has seven; a binary takes it 2. To hand a
binary out it compiles its kernels once more, for work-groups of any size, which takes about as long as building them and runs as fast.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyopencl as cl

from clconv import disk, source
from clconv.device import POCL
from clconv.schedule import Kernel

_FAILURES = (cl.Error, RuntimeError)
_SUM_BYTES = hashlib.sha256().digest_size


def program(context: cl.Context, device: cl.Device, kernel: Kernel, text: str) -> Any:
    """The built pyopencl.Program of a kernel's rendered source, from its binary if there is one."""
    options, file = list(kernel.options), _file(device, kernel, text)
    if file is None:
        return _built(context, device, text, options)
    if binary := _read(file):
        with suppress(*_FAILURES):  # a driver may refuse what another version of it made
            return cl.Program(context, [device], [binary]).build(options, [device])
    built = _built(context, device, text, options)
    with suppress(*_FAILURES):
        binary = bytes(built.get_info(cl.program_info.BINARIES)[0])
        disk.remember(file, hashlib.sha256(binary).digest() + binary)
    return built


def _built(context: cl.Context, device: cl.Device, text: str, options: list[str]) -> Any:
    """By way of pyopencl's own cache; where that fails, which raises what says nothing of the program, without it from then on."""
    if not _have_a_place():
        cl._PYOPENCL_NO_CACHE = True
    try:
        return cl.Program(context, text).build(options, [device])
    except (KeyError, OSError):
        cl._PYOPENCL_NO_CACHE = True
        return cl.Program(context, text).build(options, [device])


@cache
def _have_a_place() -> bool:
    """Whether pyopencl's caches can be written: where they can't, they raise, or wait a minute for a lock."""
    home = disk.home()
    if home is None:
        return False
    try:
        for name in ("pyopencl", "pytools"):
            home.with_name(name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home.with_name(name)):
                pass
    except OSError:
        return False
    return True


def _file(device: cl.Device, kernel: Kernel, text: str) -> Path | None:
    """Where the binary is kept, beside the rendered source; None where none is, or by the user's wish."""
    above = source.folder()
    slow = device.platform.name == POCL and device.type & cl.device_type.CPU
    if above is None or not slow or os.environ.get("CLCONV_BINARIES") == "0":
        return None
    what = (text, kernel.options, device.name, device.version, device.driver_version, device.platform.version)
    return above / source.kernels_digest() / f"{kernel.name}-{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}.bin"


def _read(file: Path) -> bytes | None:
    """A binary behind its own checksum; None if there is none, or a damaged one, which a driver might run."""
    with suppress(OSError):
        content = file.read_bytes()
        if hashlib.sha256(content[_SUM_BYTES:]).digest() == content[:_SUM_BYTES]:
            return content[_SUM_BYTES:]
    return None
