"""How time and memory grow with batch, image size, channels, kernel size and offset spread; and what a call costs on the host.

    python bench/scaling.py --device NAME --json scaling.json --plot scaling.png

Around one layer (64 channels, 64x64 pixels, 3x3, one image) one size grows at a time; all else stays.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

import clconv
from clconv.bench.call import Call, Job
from clconv.bench.layers import Layer
from clconv.bench.timing import Limits, on_host, sample
from clconv.device import Device, resolve
from clconv.errors import ClconvError
from clconv.provenance import environment

BASE = Layer("scaling", (1, 64, 64, 64), (64, 64, 3, 3), padding=1)
LIMITS = Limits(warmup=2, runs=5, seconds=0.3, timeout=5)


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: `size` is the number that grows, `work` what it multiplies the base's work by."""

    study: str
    size: float
    which: str
    work: float
    seconds: float
    q1: float
    q3: float
    memory: int


def layers(study: str) -> Iterator[tuple[float, Layer, float]]:
    """Sizes, layers, and the standard deviation of the offsets in pixels."""
    _, channels, height, width = BASE.input
    if study == "batch":
        yield from ((n, replace(BASE, input=(n, channels, height, width)), 2.0) for n in (1, 2, 4, 8, 16, 32))
    elif study == "image side":
        yield from ((side, replace(BASE, input=(1, channels, side, side)), 2.0) for side in (4, 8, 16, 32, 64, 128, 256))
    elif study == "channels":
        yield from ((c, replace(BASE, input=(1, c, height, width), weight=(c, c, 3, 3)), 2.0) for c in (8, 16, 32, 64, 128, 256, 512))
    elif study == "kernel side":
        yield from ((k, replace(BASE, weight=(64, 64, k, k), padding=k // 2), 2.0) for k in (1, 3, 5, 7, 9))
    else:
        yield from ((spread, BASE, spread) for spread in (0.0, 0.5, 2.0, 8.0, 32.0, 128.0))


STUDIES = ("batch", "image side", "channels", "kernel side", "offset spread")


def points(study: str, device: Device) -> Iterator[Point]:
    """Measure one study; what the device refuses is left out with a line."""
    for size, layer, spread in layers(study):
        arrays = layer.arrays()
        arrays["offset"] *= np.float32(spread / 2)
        for which in ("forward", "backward"):
            job = Job(layer, which)
            try:
                call = Call(job, device, [arrays])
                spread_ = sample(call.device, LIMITS)
            except ClconvError as error:
                print(f"{study} {size} {which}: {error}")
                continue
            work = job.flops / Job(BASE, which).flops
            yield Point(study, size, which, work, spread_.median, spread_.q1, spread_.q3, call.memory)


def overhead(device: Device) -> dict[str, float]:
    """Median microseconds on the host of one forward, arrays on the device.

    A Plan's and a plain call's of a tiny layer, and a Plan's of one with more channels, for which some devices take several kernels.
    """
    layer = replace(BASE, input=(1, 8, 8, 8), weight=(8, 8, 3, 3))
    call, deeper = (Call(Job(deep, "forward"), device, [deep.arrays()]) for deep in (layer, BASE))
    patient = Limits(warmup=50, runs=200, seconds=1, timeout=20)
    arrays = call.there()
    options: dict[str, Any] = {**layer.options, "out": call.plan.forward(**arrays)}

    def plain(number: int) -> None:
        clconv.deform_conv2d(**arrays, **options)

    figures = {
        "plan": sample(call.enqueue, patient),
        "plain": sample(on_host(plain), patient),
        "plan, until done": sample(call.call, patient),
        f"plan of {BASE.input[1]} channels, {deeper.plan.choices()['forward'].split()[0]}": sample(deeper.enqueue, patient),
    }
    call.plan.queue.finish()
    return {name: 1e6 * spread.median for name, spread in figures.items()}


def draw(found: list[Point], title: str) -> Figure:
    """A panel for each study: measured time, the line of the work from the largest size down, memory below."""
    figure = Figure(figsize=(15, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(STUDIES), sharex="col")
    for column, study in enumerate(STUDIES):
        for which, marker in (("forward", "o"), ("backward", "s")):
            own = [point for point in found if point.study == study and point.which == which]
            sizes = [point.size for point in own]
            panels[0, column].plot(sizes, [1e3 * point.seconds for point in own], marker=marker, color="black", label=which,
                                   linestyle="-" if which == "forward" else "--")  # fmt: skip
            if own:
                ideal = [1e3 * own[-1].seconds * point.work / own[-1].work for point in own]
                panels[0, column].plot(sizes, ideal, color="0.6", linestyle=":", label="as the work" if which == "forward" else None)
            panels[1, column].plot(sizes, [point.memory / 2**20 for point in own], marker=marker, color="black",
                                   linestyle="-" if which == "forward" else "--")  # fmt: skip
        for panel in panels[:, column]:
            panel.set_xscale("symlog" if study == "offset spread" else "log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(sorted({point.size for point in found if point.study == study}))
            panel.xaxis.set_major_formatter(ScalarFormatter())
            panel.grid(color="0.9")
        panels[0, column].set_title(study)
        panels[1, column].set_xlabel("pixels" if study in ("image side", "offset spread", "kernel side") else study)
    panels[0, 0].set_ylabel("device time, ms")
    panels[1, 0].set_ylabel("workspace, MiB")
    panels[0, 0].legend()
    figure.suptitle(title)
    return figure


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="index, kind or part of a name")
    parser.add_argument("--json", type=Path, help="write the measurements there")
    parser.add_argument("--plot", type=Path, help="draw them there")
    parser.add_argument("--overhead", action="store_true", help="only the host's time of a call")
    options = parser.parse_args()
    device = resolve(options.device)
    costs = overhead(device)
    print(f"{device.label}: host time of a call in us: " + ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items()), flush=True)
    found = []
    for study in () if options.overhead else STUDIES:
        for point in points(study, device):
            found.append(point)
            print(
                f"{point.study:14} {point.size:6g} {point.which:9} {1e3 * point.seconds:10.3f} ms {point.memory / 2**20:8.1f} MiB",
                flush=True,
            )
    if options.json:
        values = {
            **environment(),
            "device": device.label,
            "driver": device.driver,
            "overhead_us": costs,
            "points": [asdict(p) for p in found],
        }
        options.json.write_text(json.dumps(values, indent=1))
    if options.plot:
        draw(found, f"{device.label}, float32, around 64 channels, 64x64 pixels, 3x3, one image").savefig(options.plot, dpi=110)


if __name__ == "__main__":
    main()
