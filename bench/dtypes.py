"""How fast each element type is beside float32: the same layers in turns, one call of each type after another.

    python bench/dtypes.py --device intel --device pthread --json dtypes.json

Whole calls with NumPy arrays. Ratios are of least times, float32's over the type's. Each result is held against the reference first, as
`clconv bench` does it.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clconv.bench.call import Call, Job
from clconv.bench.layers import Layer, suite
from clconv.bench.spots import Spots
from clconv.bench.timing import Limits, in_turns
from clconv.device import Device, resolve
from clconv.provenance import environment

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYERS = {
    "odd": ("k7", "k1-stride2", "dilation2", "channels-prime", "batch-prime", "depthwise"),
    "resnext101-dcn": ("x101c3-b1", "x101c4-b1", "x101c5-b1"),
    "cpu5": ("cpu-r50c4", "cpu-r50c5", "cpu-edvr", "cpu-v1", "cpu-k5"),
}


@dataclass(slots=True)
class Row:
    """What calls of a pass of a layer on a device took, in each type."""

    device: str
    layer: str
    which: str
    seconds: dict[str, dict[str, Any]]

    def speed(self, dtype: str) -> float:
        """A type's speed over float32's, by least times."""
        return float(self.seconds["float32"]["least"] / self.seconds[dtype]["least"])

    def __str__(self) -> str:
        speeds = ", ".join(f"{dtype} {self.speed(dtype):.3f}" for dtype in DTYPES if dtype != "float32")
        what = f"{self.device:40.40} {self.layer:14} {self.which:8}"
        return f"{what} float32 {1e3 * self.seconds['float32']['least']:8.3f} ms; times its speed: {speeds}"


def measured(layer: Layer, which: str, device: Device, limits: Limits) -> Row:
    """A pass of a layer in all types."""
    jobs = {dtype: Job(layer, which, dtype) for dtype in DTYPES}
    calls = {}
    for dtype, job in jobs.items():
        arrays = layer.arrays(dtype)
        calls[dtype] = Call(job, device, [arrays])
        if wrong := Spots(layer, arrays, job.needs).account(calls[dtype].results(), calls[dtype].plan.problem, str(job)):
            raise SystemExit(wrong)
    spreads = in_turns([call.numpy for call in calls.values()], limits)
    return Row(device.label, layer.name, which, {dtype: spread.as_json() for dtype, spread in zip(calls, spreads, strict=True)})


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", action="append", help="index, kind or part of a name; repeatable")
    parser.add_argument("--layer", action="append", help="this one alone; repeatable")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each pass of a layer, all types together")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    limits = Limits(warmup=2, runs=8, seconds=options.seconds, timeout=60)
    rows = []
    for device in map(resolve, options.device or [None]):
        for name, layers in LAYERS.items():
            for layer in suite(name):
                if layer.name in (options.layer or layers):
                    for which in ("forward", "backward"):
                        rows.append(measured(layer, which, device, limits))
                        print(rows[-1], flush=True)
    for label, which in dict.fromkeys((row.device, row.which) for row in rows):
        of = [row for row in rows if (row.device, row.which) == (label, which)]
        means = (f"{dtype} {np.exp(np.mean([np.log(row.speed(dtype)) for row in of])):.3f}" for dtype in DTYPES if dtype != "float32")
        print(f"{label:40.40} {which:8} geometric mean of {len(of)} layers: {', '.join(means)}")
    if options.json:
        speeds = [{**asdict(row), "speed": {dtype: row.speed(dtype) for dtype in DTYPES}} for row in rows]
        options.json.write_text(json.dumps({"environment": environment(), "rows": speeds}, indent=1))


if __name__ == "__main__":
    main()
