"""The offline compilers: where they are, what to install where one isn't, and how they are run."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

DEBIAN = "apt-get install clang-19 llvm-19 lld-19 clang-15 llvm-spirv-15 spirv-tools rocm-device-libs libclc-15 intel-opencl-icd"
"""Where all of it comes from on Debian, but for ptxas, which `pip install nvidia-cuda-nvcc` brings."""

_DEVICE_LIBRARIES = ("/usr/lib/x86_64-linux-gnu/amdgcn/bitcode", "/opt/rocm/amdgcn/bitcode")
_LIBCLC = ("/usr/lib/clc/nvptx64--nvidiacl.bc", "/usr/share/clc/nvptx64--nvidiacl.bc")
_NEWER_AMD = {"1100": 11000, "942": 90402}
"""Versions of AMD's instruction set that Debian's rocm-device-libs 5.2 has no file for, with the number that such a file states."""


class Missing(Exception):
    """A compiler isn't installed: says what to install."""


class Refused(Exception):
    """A compiler refused a kernel: its message."""


@cache
def tool(name: str) -> str:
    """Path of a program."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} isn't on the path; {DEBIAN}")
    return path


@cache
def ptxas() -> str:
    """NVIDIA's assembler: on the path, or where pip put it."""
    found = importlib.util.find_spec("nvidia")
    wheels = [file for folder in (found.submodule_search_locations if found else None) or () for file in Path(folder).glob("*/bin/ptxas")]
    path = shutil.which("ptxas") or next(map(str, wheels), None)
    if path is None:
        raise Missing("ptxas isn't on the path; pip install nvidia-cuda-nvcc")
    return path


@cache
def libclc() -> str:
    """OpenCL C's built-in functions as LLVM bitcode for NVIDIA."""
    return _first(_LIBCLC, "libclc's nvptx64--nvidiacl.bc")


@cache
def device_libraries(into: Path) -> str:
    """OpenCL C's built-in functions as LLVM bitcode for AMD, with stubs for the versions that they lack."""
    source = Path(_first(_DEVICE_LIBRARIES, "AMD's device libraries"))
    folder = shutil.copytree(source, into / "amdgcn")
    for version, number in _NEWER_AMD.items():
        stub = folder / f"oclc_isa_version_{version}.bc"
        if not stub.exists():
            text = run([tool("llvm-dis-19"), str(folder / "oclc_isa_version_1030.bc"), "-o", "-"])
            stub.with_suffix(".ll").write_text(text.replace("i32 10300", f"i32 {number}"))
            run([tool("llvm-as-19"), str(stub.with_suffix(".ll")), "-o", str(stub)])
    return str(folder)


def _first(paths: Sequence[str], what: str) -> str:
    found = next((path for path in paths if Path(path).exists()), None)
    if found is None:
        raise Missing(f"{what} isn't in {' or '.join(paths)}; {DEBIAN}")
    return found


def run(command: Sequence[str], folder: Path | None = None) -> str:
    """Output of a command, errors included; Refused if it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Refused(done.stdout.strip() or f"{command[0]} failed with {done.returncode}")
    return done.stdout


def version(command: Sequence[str], folder: Path) -> str:
    """The first version number that a command prints."""
    found = re.search(r"\d+(\.\d+)+", run(command, folder))
    return found[0] if found else "unknown"
