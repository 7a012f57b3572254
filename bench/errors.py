"""How a forward's error grows with the depth K of its sums, beside torchvision's.

    python bench/errors.py --device nvidia --json errors.json --plot errors.png

Around one layer (3x3, 64 outputs, 8x12 pixels, one image, mask and bias) the channels grow, to 18,432 products a sum. An error is the
norm of the difference from the float64 result of this library's reference, relative to that result's norm. Every variant that the device
can run is there.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import clconv
from clconv import reference, tuning
from clconv.bench.layers import Layer
from clconv.bench.peers.peer import Task
from clconv.bench.peers.torchvision import Torchvision
from clconv.device import Device, resolve
from clconv.errors import UnsupportedError
from clconv.provenance import environment

CHANNELS = (16, 32, 64, 128, 256, 512, 1024, 2048)
PRECISIONS = ("", "tf32")


@dataclass(frozen=True, slots=True)
class Point:
    """The error of `system`, a variant of this library or a peer, for sums of `depth` products."""

    system: str
    precision: str
    depth: int
    error: float


def points(channels: int, device: Device) -> list[Point]:
    """All variants that the device has, and torchvision, on one layer in float32."""
    layer = Layer("errors", (1, channels, 8, 12), (64, channels, 3, 3), padding=1)
    arrays = layer.arrays()
    operands: dict[str, Any] = {name: array for name, array in arrays.items() if name != "grad_output"}
    want = reference.deform_conv2d(**operands, **layer.options)

    def point(system: str, precision: str, output: Any) -> Point:
        error = np.linalg.norm(output.astype(np.float64) - want) / np.linalg.norm(want)
        return Point(system, precision or "float32", 9 * channels, float(error))

    found = []
    for precision in PRECISIONS:
        for variant in tuning.PASSES["forward"]:
            try:
                plan = clconv.Plan(
                    layer.input, layer.weight, padding=1, mask=True, bias=True, precision=precision or None, device=device,
                    variants={"forward": variant.name},
                )  # fmt: skip
            except UnsupportedError:
                continue
            found.append(point(f"clconv, {variant.name}", precision, plan.forward(**operands)))
        task = Task(layer, "forward", "float32", precision, "gpu" if device.kind == "gpu" else "cpu", 2, [arrays])
        found.append(point("torchvision", precision, Torchvision().prepare(task).results()["output"]))
    return found


def draw(found: list[Point], title: str) -> Figure:
    """A panel for each precision, a line for each system."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    precisions = sorted({point.precision for point in found})
    for panel, precision in zip(figure.subplots(1, len(precisions), squeeze=False)[0], precisions, strict=True):
        own = [point for point in found if point.precision == precision]
        for system, marker in zip(dict.fromkeys(point.system for point in own), "so^vD*px", strict=False):
            line = [(point.depth, point.error) for point in own if point.system == system]
            panel.loglog(*zip(*line, strict=True), marker=marker, label=system, base=2, linestyle="--" if system == "torchvision" else "-")
        panel.set_yscale("log", base=10)
        panel.set(title=precision, xlabel="products a sum")
        panel.grid(color="0.9")
    figure.axes[0].set_ylabel("relative error against float64")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(title)
    return figure


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="index, kind or part of a name")
    parser.add_argument("--json", type=Path, help="write the errors there")
    parser.add_argument("--plot", type=Path, help="draw them there")
    options = parser.parse_args()
    device = resolve(options.device)
    try:
        peer = Torchvision().version()
    except ImportError as error:
        parser.error(str(error))
    found = []
    for channels in CHANNELS:
        for point in points(channels, device):
            found.append(point)
            print(f"{point.depth:6} {point.precision:8} {point.system:20} {point.error:.1e}", flush=True)
    if options.json:
        values = {**environment(), "device": device.label, "driver": device.driver, "peer": peer, "points": [asdict(p) for p in found]}
        options.json.write_text(json.dumps(values, indent=1))
    if options.plot:
        draw(found, f"Errors of a forward on {device.label}").savefig(options.plot, dpi=110)


if __name__ == "__main__":
    main()
