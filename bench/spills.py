"""Registers and spilled bytes of the kernels that a suite's plans launch, as NVIDIA's driver tells them when it builds.

    python bench/spills.py --device nvidia --json spills.json

Forward, backward, both of a step that keeps, bit-identical gradients, and each backward pass alone, with the tiles that are chosen on the
device. All are built anew, without the driver's cache and pyopencl's. A kernel of which the driver tells nothing is an error. The exit
status is 1 where a kernel spills.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyopencl as cl

from clconv import nvidia, tuning
from clconv.bench.layers import Layer, suite
from clconv.device import resolve
from clconv.provenance import environment
from clconv.queues import queue_for
from clconv.schedule import Kernel, Launch, Schedule
from clconv.schedules import Schedules
from clconv.source import render

KINDS = ("float32", "tf32", "float16", "bfloat16")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True, slots=True)
class Row:
    """A kernel of a layer's calls: registers of a work-item, and bytes of it that are stored and loaded because registers lack."""

    layer: str
    kind: str
    call: str
    variant: str
    tile: str
    kernel: str
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int


def calls(layer: Layer, kind: str, device: Any) -> Iterator[tuple[str, Schedule]]:
    """The schedules of a layer's calls, by name."""
    problem = layer.problem("float32" if kind == "tf32" else kind, "tf32" if kind == "tf32" else None)
    everything = frozenset(problem.operands())
    for deterministic in (False, True):
        schedules, name = Schedules(problem, deterministic, device, {}), ", deterministic" if deterministic else ""
        yield f"backward{name}", schedules.backward(everything)
        for which, gradients in tuning.GRADIENTS.items():
            yield f"{which}{name}", schedules.backward(everything & gradients)
        for keep in (False, True):
            yield f"forward{', kept' if keep else ''}{name}", schedules.forward(keep)
        yield f"backward, kept{name}", schedules.backward(everything, keep=True)


def log_of(kernel: Kernel, context: cl.Context, handle: cl.Device) -> str:
    """What the driver says while it builds a kernel."""
    text, tell = render(kernel), "-cl-nv-verbose"
    program: Any = cl.Program(context, text).build([*kernel.options, tell], [handle])
    if nvidia.hides(text):
        program = cl.Program(context, [handle], [nvidia.brought_out(program.get_info(cl.program_info.BINARIES)[0])]).build([tell])
    return str(program.get_build_info(handle, cl.program_build_info.LOG))


def rows(task: tuple[Layer, str], pattern: str | None) -> list[Row]:
    """All kernels of a layer, each with the first call that launches it."""
    layer, kind = task
    os.environ["CUDA_CACHE_DISABLE"] = "1"  # the driver asks when it is first used
    cl._PYOPENCL_NO_CACHE = True
    device = resolve(pattern)
    queue = queue_for(device, None)
    found: dict[Kernel, Row] = {}
    for call, schedule in calls(layer, kind, device):
        steps = dict.fromkeys(step for prepared in (False, True) for step in schedule.in_order(prepared))
        for kernel in (step.kernel for step in steps if isinstance(step, Launch)):
            if kernel not in found:
                log = log_of(kernel, queue.context, queue.device)
                registers, spills = _REGISTERS.search(log), _SPILLS.search(log)
                if registers is None or spills is None:
                    raise SystemExit(f"{layer.name}, {kind}: the driver tells nothing of {kernel.name}: {log!r}")
                what = (layer.name, kind, call, schedule.variant, str(schedule.tile), kernel.name)
                found[kernel] = Row(*what, int(registers[1]), *map(int, spills.groups()))
    return list(found.values())


def main() -> None:
    """Build, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="index, kind or part of a name")
    parser.add_argument("--suite", default="gpu9")
    parser.add_argument("--layer", action="append", help="this one of the suite alone; repeatable")
    parser.add_argument("--kind", action="append", choices=KINDS, help="this element type or precision alone; repeatable")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layers = [layer for layer in suite(options.suite) if layer.name in (options.layer or [layer.name])]
    if not layers:
        parser.error(f"{options.suite} has no layer of these names")
    tasks = [(layer, kind) for layer in layers for kind in options.kind or KINDS]
    with ProcessPoolExecutor(options.processes) as pool:
        found = [row for some in pool.map(partial(rows, pattern=options.device), tasks) for row in some]
    spilled = [row for row in found if row.spill_stores or row.spill_loads]
    for row in spilled:
        print(f"{row.layer}, {row.kind}, {row.call}: {row.kernel} ({row.variant}; {row.tile}) spills {row.spill_stores} bytes")
    print(f"{len(found)} kernels, {len(spilled)} that spill; at most {max(row.registers for row in found)} registers")
    if options.json:
        device = resolve(options.device)
        facts = {"device": device.label, "driver": device.driver, "suite": options.suite, "environment": environment()}
        options.json.write_text(json.dumps({**facts, "rows": [asdict(row) for row in found]}, indent=1))
    sys.exit(bool(spilled))


if __name__ == "__main__":
    main()
