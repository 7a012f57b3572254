"""What each offline compiler makes of one kernel: registers, spills and memory, or its refusal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rendered import Rendered

from clconv.nvidia import brought_out, hides
from offline.toolchain import Refused, device_libraries, libclc, ptxas, run, tool, version

Figures: TypeAlias = Mapping[str, int]

FIGURES = ("simd", "registers", "scalar_registers", "spills", "scalar_spills", "local", "private")
"""Columns of the table. AMD counts spilled registers, Intel spilled registers of a thread, NVIDIA spilled bytes; local memory is in
bytes a work-group, private in bytes a work-item (AMD, NVIDIA) or a hardware thread (Intel)."""

SPILLS = ("spills", "scalar_spills")


@dataclass(frozen=True)
class Source:
    """A rendered kernel in a file, with its build options (without -cl-std: OpenCL 1.2), and the folder for what is made of it."""

    file: Path
    options: tuple[str, ...]
    folder: Path

    @property
    def arguments(self) -> list[str]:
        """Build options with the language version."""
        stated = any(option.startswith("-cl-std") for option in self.options)
        return [*self.options] if stated else ["-cl-std=CL1.2", *self.options]


@dataclass(frozen=True)
class Target:
    """A kind of hardware, or a check.

    Attributes
    ----------
    name : str
        What its compiler calls it.
    devices : tuple of str
        Names in `planning.DEVICES` of the devices whose kernels it compiles.
    compile : callable
        (source, target name) -> figures, empty where there are none; raises Missing or Refused.
    versions : callable
        (folder for what the query writes) -> the compilers' versions.
    branches : bool
        Whether it is quick enough for every branch of the templates.
    may_spill : int
        Up to how much spills are figures of the table as others are, and no errors.
    """

    name: str
    devices: tuple[str, ...]
    compile: Callable[[Source, str], Figures]
    versions: Callable[[Path], str]
    branches: bool = False
    may_spill: int = 0

    @property
    def is_hardware(self) -> bool:
        """Whether it has registers to count."""
        return self.name in self.devices


def _clang(source: Source, *arguments: str, compiler: str = "clang-19") -> str:
    return run([tool(compiler), "-x", "cl", *source.arguments, "-Xclang", "-finclude-default-header", *arguments, str(source.file)])


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def amd(source: Source, name: str) -> Figures:
    """Compile with clang and read the notes of the code object."""
    binary = str(source.folder / "kernel.hsaco")
    libraries = device_libraries(source.folder.parent)
    _clang(source, "-O3", "-target", "amdgcn-amd-amdhsa", f"-mcpu={name}", f"--rocm-device-lib-path={libraries}", "-o", binary)
    notes = run([tool("llvm-readobj-19"), "--notes", binary])
    fields = {
        "simd": "wavefront_size", "registers": "vgpr_count", "scalar_registers": "sgpr_count", "spills": "vgpr_spill_count",
        "scalar_spills": "sgpr_spill_count", "local": "group_segment_fixed_size", "private": "private_segment_fixed_size",
    }  # fmt: skip
    return {figure: _number(rf"\.{field}:\s+(\d+)", notes) for figure, field in fields.items()}


_UNSAID = ("-Dcl_intel_subgroup_matrix_multiply_accumulate=1",)
"""What the drivers of devices with matrix units define, and ocloc doesn't."""


def intel(source: Source, name: str) -> Figures:
    """Compile with ocloc and read the information section of its binary; it tells spills only in its log."""
    log = run(
        [tool("ocloc"), "compile", "-file", str(source.file), "-device", name, "-options", " ".join([*source.arguments, *_UNSAID]),
         "-internal_options", "-cl-intel-allow-zebin", "-output", "kernel", "-output_no_suffix", "-out_dir", str(source.folder)],
        source.folder,
    )  # fmt: skip
    if "Build succeeded" not in log or not (source.folder / "kernel").exists():
        raise Refused(log)
    run([tool("llvm-objcopy-19"), "--dump-section=.ze_info=info", "kernel", "/dev/null"], source.folder)
    info = (source.folder / "info").read_text()
    buffers = "".join(re.findall(r"per_thread_memory_buffers:\n((?:      .*\n)+)", info))
    return {
        "simd": _number(r"simd_size:\s+(\d+)", info),
        "registers": _number(r"grf_count:\s+(\d+)", info),
        "spills": _number(r"spilled around (\d+)", log),
        "local": _number(r"slm_size:\s+(\d+)", info),
        "private": sum(map(int, re.findall(r"\bsize:\s+(\d+)", buffers))),
    }


def _sized(ptx: str, rendered: str) -> str:
    """PTX that tells its kernel's work-group size."""
    entry = re.search(r"\.entry (\w+)\([^{]*?\n\)\n", ptx)
    assert entry is not None, "no kernel in its PTX"
    size = Rendered(entry[1], rendered).work_group
    told = f".reqntid {', '.join(map(str, size))}\n" if size else ""
    return ptx[: entry.end()] + told + ptx[entry.end() :]


def nvidia(source: Source, name: str) -> Figures:
    """Compile to PTX with clang, whose front end isn't NVIDIA's (it must be told to know `asm`), and assemble that with ptxas.

    clang doesn't say how many work-items a group has, which is how many registers each may have; NVIDIA's compiler does. For Hopper that
    assembles for sm_90a, which takes more than 48 KiB of declared local memory.
    """
    code = str(source.folder / "kernel.ptx")
    cc1 = ["-mlink-builtin-bitcode", libclc(), "-target-cpu", name, "-target-feature", "+ptx80"]
    through = [word for argument in cc1 for word in ("-Xclang", argument)]
    _clang(source, "-O3", "-target", "nvptx64--nvidiacl", "-fgnu-keywords", *through, "-S", "-o", code)
    rendered = source.file.read_text(encoding="utf-8")
    architecture = f"{name}a" if name == "sm_90" else name
    text = _sized(Path(code).read_text(encoding="utf-8").replace(f".target {name}", f".target {architecture}"), rendered).encode()
    Path(code).write_bytes(brought_out(text) if hides(rendered) else text)
    log = run([ptxas(), f"-arch={architecture}", "-v", code, "-o", str(source.folder / "kernel.cubin")])
    return {
        "simd": 32,
        "registers": _number(r"Used (\d+) registers", log),
        "spills": _number(r"(\d+) bytes spill stores", log),
        "local": _number(r"(\d+) bytes smem", log),
        "private": _number(r"(\d+) bytes stack frame", log),
    }


def _extensions(source: Source) -> list[str]:
    """Which extensions the source enables."""
    return re.findall(r"#pragma OPENCL EXTENSION (\w+) : enable", source.file.read_text(encoding="utf-8"))


def spirv(source: Source, name: str) -> Figures:
    """Translate and validate. The IR isn't optimised, for llvm-spirv-15 doesn't know `freeze`.

    The validator has no way to say that a device has 64-bit atomics: what asks for them is held against SPIR-V alone.
    """
    bitcode, binary = str(source.folder / "kernel.bc"), str(source.folder / "kernel.spv")
    unoptimised = ("-c", "-emit-llvm", "--target=spir64", "-O1", "-Xclang", "-disable-llvm-passes")
    _clang(source, *unoptimised, "-o", bitcode, compiler="clang-15")
    run([tool("llvm-spirv-15"), "--spirv-max-version=1.2", bitcode, "-o", binary])
    environment = "spv1.2" if "cl_khr_int64_base_atomics" in _extensions(source) else "opencl2.2"
    run([tool("spirv-val"), "--target-env", environment, binary])
    return {}


def lint(source: Source, name: str) -> Figures:
    """Take nothing for granted, as Mali's and Adreno's compilers do: no extension but what the source asks for, no double by accident.

    Functions may be unused: kernels include shared files of helpers. Options too: this target has no denormals to flush.
    """
    extensions = ",".join(["-cl-ext=-all", *(f"+{extension}" for extension in _extensions(source))])
    warnings = ("-Wall", "-Wextra", "-Wdouble-promotion", "-Wno-unused-function", "-Wno-unused-command-line-argument", "-Werror")
    _clang(source, "-fsyntax-only", "--target=spir", "-Xclang", extensions, *warnings)
    return {}


def _clang_version(folder: Path) -> str:
    return f"clang {version([tool('clang-19'), '--version'], folder)}"


def _intel_version(folder: Path) -> str:
    run([tool("ocloc"), "query", "OCL_DRIVER_VERSION"], folder)  # answers in a file of that name
    return f"ocloc {(folder / 'OCL_DRIVER_VERSION').read_text().strip().strip(chr(0))}"


def _nvidia_version(folder: Path) -> str:
    return f"{_clang_version(folder)} ptxas {version([ptxas(), '--version'], folder)}"


def _spirv_version(folder: Path) -> str:
    return f"clang {version([tool('clang-15'), '--version'], folder)}"


_CHECKED = ("limited-cpu", "avx512-cpu", "gfx1030", "emulating")

TARGETS = (
    *(Target(name, (name,), amd, _clang_version) for name in ("gfx90a", "gfx942", "gfx1030", "gfx1100")),
    *(Target(name, (name,), intel, _intel_version) for name in ("dg2", "tgllp")),
    Target("sm_90", ("sm_90",), nvidia, _nvidia_version, may_spill=32),  # bytes, to fit registers; its driver is asked on the card
    Target("sm_86", ("sm_86",), nvidia, _nvidia_version),
    Target("spirv", _CHECKED, spirv, _spirv_version),
    Target("lint", _CHECKED, lint, _clang_version, branches=True),
)
