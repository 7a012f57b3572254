"""A forward with its backward, as a training step has them: what `Plan.forward(keep=True)` saves.

    python bench/step.py --device nvidia --suite gpu9 --json step.json

Both ways take turns on the same arrays, of a few steps each that don't wait for one another, as those of a training loop don't. Times are
the device's, from the end of the first step's last kernel to the end of the last step's, or of `--steps 1`, before which the device was
idle, from the beginning of its first kernel; the gradients go to arrays that are there. A layer whose gradients differ by more than 1e-6 of
their norm (half types: 1e-2) is an error.
"""

import argparse
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla

import clconv
from clconv.bench.layers import Layer, suite
from clconv.device import Device, resolve
from clconv.execute import trace
from clconv.provenance import environment
from clconv.queues import queue_for

WARMUP = 3
WAYS = {"apart": False, "kept": True}


@dataclass(slots=True)
class Row:
    """Seconds of a layer's step in each turn, and of its last step's kernels: `apart`, two calls that share nothing, and `kept`."""

    layer: str
    dtype: str
    offset_groups: int
    workspace: dict[str, int]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    kernels: dict[str, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times faster the kept way is, by medians."""
        return float(np.median(self.seconds["apart"]) / np.median(self.seconds["kept"]))

    def __str__(self) -> str:
        apart, kept = (f"{1e3 * np.median(self.seconds[way]):8.3f}" for way in WAYS)
        what = f"{self.layer:12} {self.dtype:9} {self.offset_groups:3} offset groups"
        return f"{what}: {apart} ms apart, {kept} kept, {self.ratio:.3f} times faster"


def measured(layer: Layer, dtype: str, deterministic: bool, device: Device, runs: int, count: int) -> Row:
    """A layer's row, of turns of `count` steps."""
    queue = queue_for(device, None)
    profiled = cl.CommandQueue(queue.context, queue.device, properties=cl.command_queue_properties.PROFILING_ENABLE)
    plan = clconv.Plan(
        layer.input, layer.weight, dtype=dtype, offset_groups=layer.offset_groups, mask=layer.mask, bias=layer.bias, **layer.options,
        deterministic=deterministic, queue=profiled,
    )  # fmt: skip
    arrays = {name: cla.to_device(profiled, array) for name, array in layer.arrays(dtype).items()}
    grad = arrays.pop("grad_output")
    output, results = cla.empty_like(grad), {name: cla.empty_like(array) for name, array in arrays.items()}
    workspace = {way: plan.workspace_of(None, keep) for way, keep in WAYS.items()}
    row = Row(layer.name, dtype, plan.problem.offset_groups, workspace)
    first: dict[str, Any] = {}
    for number in range(WARMUP + runs):
        for way, keep in WAYS.items():
            steps = []
            for _ in range(count):
                with trace() as launched:
                    plan.forward(**arrays, out=output, keep=keep)
                    plan.backward(grad, **arrays, out=results)
                steps.append(launched)
            profiled.finish()
            if number == 0:
                _compare(first, {name: array.get() for name, array in {"output": output, **results}.items()}, row)
            if number < WARMUP:
                continue
            begin = steps[0][-1][1].profile.end if count > 1 else steps[0][0][1].profile.start
            row.seconds.setdefault(way, []).append(1e-9 * (steps[-1][-1][1].profile.end - begin) / max(count - 1, 1))
            for at, (name, event) in enumerate(launched):
                row.kernels.setdefault(f"{way} {at} {name}", []).append(1e-9 * (event.profile.end - event.profile.start))
    return row


def _compare(first: dict[str, Any], found: dict[str, Any], row: Row) -> None:
    for name, array in found.items():
        want = first.setdefault(name, array).astype(np.float64)
        error = np.linalg.norm(array.astype(np.float64) - want) / np.linalg.norm(want)
        if not error <= (1e-6 if row.dtype in ("float32", "float64") else 1e-2):
            raise SystemExit(f"{row.layer}, {row.dtype}: {name} differs by {error:.1e}")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="index, kind or part of a name")
    parser.add_argument("--suite", default="gpu9")
    parser.add_argument("--layer", action="append", help="this one of the suite alone; repeatable")
    parser.add_argument("--offset-groups", type=int, help="so many in place of the layers' own")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, choices=range(1, 101), metavar="N", default=4, help="of a turn")
    parser.add_argument("--kernels", action="store_true", help="also print each kernel's median")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = resolve(options.device)
    rows = []
    for layer in suite(options.suite):
        if options.layer and layer.name not in options.layer:
            continue
        if options.offset_groups:
            layer = replace(layer, offset_groups=options.offset_groups)
        row = measured(layer, options.dtype, options.deterministic, device, options.runs, options.steps)
        rows.append(row)
        print(row, flush=True)
        if options.kernels:
            for name, seconds in row.kernels.items():
                print(f"    {name:40} {1e3 * float(np.median(seconds)):.4f}")
    if options.json:
        how = {"deterministic": options.deterministic, "steps": options.steps}
        facts = {"device": device.label, "driver": device.driver, **how, "environment": environment()}
        options.json.write_text(json.dumps({**facts, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
