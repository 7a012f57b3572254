"""How fast each element type is beside float32: the same layers in turns, one call of each type after another.

    python bench/dtypes.py --device intel --device pthread --json dtypes.json

Whole calls with NumPy arrays. Ratios are of least times, float32's over the type's. A result that differs from what float64 makes of the
same data by more than 1e-5 of its norm (half types: 1e-2) is an error.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import clconv
from clconv.arrays import NumpyArray
from clconv.bench.layers import Layer, suite
from clconv.device import Device, resolve
from clconv.provenance import environment

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYERS = {
    "odd": ("k7", "k1-stride2", "dilation2", "channels-prime", "batch-prime", "depthwise"),
    "resnext101-dcn": ("x101c3-b1", "x101c4-b1", "x101c5-b1"),
    "cpu5": ("cpu-r50c4", "cpu-r50c5", "cpu-edvr", "cpu-v1", "cpu-k5"),
}
TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-2}


@dataclass(slots=True)
class Row:
    """Seconds of a pass of a layer on a device, of each call in each type."""

    device: str
    layer: str
    which: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def speed(self, dtype: str) -> float:
        """A type's speed over float32's, by least times."""
        return min(self.seconds["float32"]) / min(self.seconds[dtype])

    def __str__(self) -> str:
        speeds = ", ".join(f"{dtype} {self.speed(dtype):.3f}" for dtype in DTYPES if dtype != "float32")
        what = f"{self.device:40.40} {self.layer:14} {self.which:8}"
        return f"{what} float32 {1e3 * min(self.seconds['float32']):8.3f} ms; times its speed: {speeds}"


def calls(layer: Layer, dtype: str, data: str, device: Device) -> dict[str, Callable[[], dict[str, NumpyArray]]]:
    """Both passes in a type, on data that were rounded to another; they return what they made."""
    plan = clconv.Plan(
        layer.input, layer.weight, dtype=dtype, offset_groups=layer.offset_groups, mask=layer.mask, bias=layer.bias, **layer.options,
        device=device,
    )  # fmt: skip
    arrays: dict[str, Any] = {name: array.astype(dtype) for name, array in layer.arrays(data).items()}
    grad = arrays.pop("grad_output")
    output, gradients = np.empty_like(grad), {name: np.empty_like(array) for name, array in arrays.items()}

    def forward() -> dict[str, NumpyArray]:
        plan.forward(**arrays, out=output)
        return {"output": output}

    def backward() -> dict[str, NumpyArray]:
        plan.backward(grad, **arrays, out=gradients)
        return gradients

    return {"forward": forward, "backward": backward}


def measured(layer: Layer, device: Device, turns: int) -> list[Row]:
    """A layer's rows."""
    of_types = {dtype: calls(layer, dtype, dtype, device) for dtype in DTYPES}
    exact = {dtype: calls(layer, "float64", dtype, device) for dtype in TOLERANCE}
    rows = []
    for which in ("forward", "backward"):
        row = Row(device.label, layer.name, which)
        for dtype, most in TOLERANCE.items():
            want = exact[dtype][which]()
            for name, got in of_types[dtype][which]().items():
                error = np.linalg.norm(got.astype(np.float64) - want[name]) / np.linalg.norm(want[name])
                if not error <= most:
                    raise SystemExit(f"{layer.name} on {device.label}, {dtype}: {name} differs by {error:.1e}")
        for _ in range(turns):
            for dtype in DTYPES:
                for _ in range(4):
                    start = perf_counter()
                    of_types[dtype][which]()
                    row.seconds.setdefault(dtype, []).append(perf_counter() - start)
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", action="append", help="index, kind or part of a name; repeatable")
    parser.add_argument("--layer", action="append", help="this one alone; repeatable")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for device in map(resolve, options.device or [None]):
        for name, layers in LAYERS.items():
            for layer in suite(name):
                if layer.name in (options.layer or layers):
                    for row in measured(layer, device, options.turns):
                        rows.append(row)
                        print(row, flush=True)
    for label, which in dict.fromkeys((row.device, row.which) for row in rows):
        of = [row for row in rows if (row.device, row.which) == (label, which)]
        means = (f"{dtype} {np.exp(np.mean([np.log(row.speed(dtype)) for row in of])):.3f}" for dtype in DTYPES if dtype != "float32")
        print(f"{label:40.40} {which:8} geometric mean of {len(of)} layers: {', '.join(means)}")
    if options.json:
        speeds = [{**asdict(row), "speed": {dtype: row.speed(dtype) for dtype in DTYPES}} for row in rows]
        options.json.write_text(json.dumps({"environment": environment(), "rows": speeds}, indent=1))


if __name__ == "__main__":
    main()
