"""A training run beside torchvision's: the demo's photograph, aligned in features of many channels, with the same steps in both.

    python bench/training.py --device nvidia --against torchvision --json training.json --plot training.png

Features of a photograph and of its warped copy are fixed random convolutions of them. A deformable convolution (mask, bias, 8 offset
groups) learns by Adam (Kingma and Ba 2015) to turn those of the copy into those of the photograph: offsets and masks of every pixel,
weight and bias. Every step computes all five gradients, that of the input too, as a layer inside a network does. Arrays stay on the
device.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl.array as cla
from pyopencl.elementwise import ElementwiseKernel

import clconv
from clconv.device import Device, resolve
from clconv.provenance import environment
from clconv.queues import queue_for

KERNEL, OFFSET_GROUPS, SEED = 3, 8, 0
LEARNED = ("offset", "mask", "weight", "bias")
RATES = {"offset": 0.05, "mask": 0.01, "weight": 0.002, "bias": 0.002}
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class Run:
    """The mean squared error before each step, and the median time of a step with its quartiles in seconds."""

    system: str
    errors: list[float]
    seconds: float
    q1: float
    q3: float


def pictures(size: int, file: Path | None) -> tuple[Any, Any]:
    """The photograph and its warped copy, from a file that has them, or made by scikit-image and kept there."""
    if file is None or not file.exists():
        from clconv.demo.scene import make_scene

        scene = make_scene(size, SEED)
        if file is None:
            return scene.photograph, scene.warped
        np.savez(file, photograph=scene.photograph, warped=scene.warped)
    with np.load(file) as kept:
        if kept["photograph"].shape[1:] != (size, size):
            raise SystemExit(f"{file}: expected pictures of {size}x{size}, found {kept['photograph'].shape}")
        return kept["photograph"], kept["warped"]


def operands(photograph: Any, warped: Any, channels: int) -> tuple[dict[str, Any], Any]:
    """What a run starts from, and the features to reach."""
    rng = np.random.default_rng(SEED)
    size = photograph.shape[1]
    filters = rng.standard_normal((channels, 3, 3, 3), dtype=np.float32) / np.float32(np.sqrt(27))
    copy, target = (clconv.conv2d(picture[None], filters, padding=1) for picture in (warped, photograph))
    taps = KERNEL**2
    weight = np.zeros((channels, channels, KERNEL, KERNEL), np.float32)
    weight[np.arange(channels), np.arange(channels), KERNEL // 2, KERNEL // 2] = 1
    start = {
        "input": copy,
        "offset": np.zeros((1, 2 * OFFSET_GROUPS * taps, size, size), np.float32),
        "mask": np.ones((1, OFFSET_GROUPS * taps, size, size), np.float32),
        "weight": weight,
        "bias": np.zeros(channels, np.float32),
    }
    return start, target


def measured(system: str, steps: int, step: Callable[[int], Any], error: Callable[[Any], float], finish: Callable[[], Any]) -> Run:
    """Take the steps, ten between looks at the clock; `error` of what a step returns is only asked for then."""
    errors, seconds = [], []
    error(step(1))
    for first in range(2, steps + 1, 10):
        finish()
        start = time.perf_counter()
        for number in range(first, min(first + 10, steps + 1)):
            last = step(number)
        finish()
        seconds.append((time.perf_counter() - start) / (number - first + 1))
        errors.append(error(last))
    q1, median, q3 = np.quantile(seconds, [0.25, 0.5, 0.75])
    return Run(system, errors, float(median), float(q1), float(q3))


def with_clconv(start: dict[str, Any], target: Any, steps: int, device: Device) -> Run:
    """The run on an OpenCL device."""
    queue = queue_for(device, None)
    on_device = {name: cla.to_device(queue, array) for name, array in start.items()}
    wanted = cla.to_device(queue, target)
    plan = clconv.Plan(
        start["input"].shape, start["weight"].shape, offset_groups=OFFSET_GROUPS, mask=True, bias=True, padding=KERNEL // 2, queue=queue
    )
    output, grad = cla.empty_like(wanted), cla.empty_like(wanted)
    gradients = {name: cla.empty_like(array) for name, array in on_device.items()}
    moments = {name: [cla.zeros_like(on_device[name]) for _ in range(2)] for name in LEARNED}
    slope = ElementwiseKernel(
        queue.context, "float *grad, float *output, float *target, float scale", "grad[i] = scale * (output[i] - target[i])"
    )
    adam = ElementwiseKernel(
        queue.context,
        "float *value, float *grad, float *mean, float *square, float rate, float correction",
        f"""mean[i] = {BETA_1}f * mean[i] + (1 - {BETA_1}f) * grad[i];
            square[i] = {BETA_2}f * square[i] + (1 - {BETA_2}f) * grad[i] * grad[i];
            value[i] -= rate * mean[i] / (sqrt(square[i] * correction) + {EPSILON}f)""",
    )

    def step(number: int) -> Any:
        plan.forward(**on_device, out=output, keep=True)
        slope(grad, output, wanted, np.float32(2 / target.size))
        plan.backward(grad, **on_device, out=gradients)
        for name in LEARNED:
            rate, correction = RATES[name] / (1 - BETA_1**number), 1 / (1 - BETA_2**number)
            adam(on_device[name], gradients[name], *moments[name], np.float32(rate), np.float32(correction))
        return output

    return measured("clconv", steps, step, lambda found: float(np.mean((found.get() - target) ** 2)), queue.finish)


def with_torchvision(start: dict[str, Any], target: Any, steps: int, device: Device) -> Run:
    """The same run by torchvision, on CUDA beside a GPU, else on the CPU."""
    import torch
    from torchvision.ops import deform_conv2d

    place = "cuda" if device.kind == "gpu" else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    on_device = {name: torch.from_numpy(array).to(place).requires_grad_() for name, array in start.items()}
    wanted = torch.from_numpy(target).to(place)
    groups = [{"params": [on_device[name]], "lr": RATES[name]} for name in LEARNED]
    adam = torch.optim.Adam(groups, betas=(BETA_1, BETA_2), eps=EPSILON, fused=place == "cuda")

    def step(number: int) -> Any:
        output = deform_conv2d(
            on_device["input"], on_device["offset"], on_device["weight"], on_device["bias"], padding=KERNEL // 2, mask=on_device["mask"]
        )
        on_device["input"].grad = None
        adam.zero_grad()
        torch.mean((output - wanted) ** 2).backward()
        adam.step()
        return output

    def error(output: Any) -> float:
        return float(torch.mean((output.detach() - wanted) ** 2))

    return measured("torchvision", steps, step, error, torch.cuda.synchronize if place == "cuda" else lambda: None)


def draw(runs: list[Run], what: str, file: Path) -> None:
    """Both errors by steps, and by seconds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    by_steps, by_seconds = figure.subplots(1, 2, sharey=True)
    for run, style in zip(runs, ("-", "--"), strict=False):
        steps = 1 + 10 * np.arange(1, len(run.errors) + 1)
        label = f"{run.system}, {1e3 * run.seconds:.2f} ms a step"
        by_steps.plot(steps, run.errors, style, color="black" if style == "-" else "tab:orange", label=label)
        by_seconds.plot(steps * run.seconds, run.errors, style, color="black" if style == "-" else "tab:orange", label=label)
    by_steps.set(xlabel="steps", ylabel="mean squared error", yscale="log")
    by_seconds.set(xlabel="seconds", yscale="log")
    by_seconds.legend()
    figure.suptitle(what)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="index, kind or part of a name")
    parser.add_argument("--against", choices=["torchvision"], help="the same steps by it")
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--channels", type=int, default=64, help="of the features, a multiple of 8")
    parser.add_argument("--steps", type=int, default=301)
    parser.add_argument("--scene", type=Path, help="a file that keeps the pictures (.npz), for where scikit-image isn't")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    device = resolve(options.device)
    start, target = operands(*pictures(options.size, options.scene), options.channels)
    systems = (with_clconv, with_torchvision) if options.against else (with_clconv,)
    runs = [system(start, target, options.steps, device) for system in systems]
    for run in runs:
        spread = f"{1e3 * run.q1:.3f} to {1e3 * run.q3:.3f}"
        print(f"{run.system:12s} {1e3 * run.seconds:8.3f} ms a step ({spread}), error {run.errors[0]:.3g} -> {run.errors[-1]:.3g}")
    if options.json:
        versions = {"clconv": clconv.__version__} | ({"torchvision": version("torchvision")} if options.against else {})
        facts = {"versions": versions, "size": options.size, "channels": options.channels, "steps": options.steps, "seed": SEED}
        document = {
            "environment": environment(),
            "device": device.label,
            "driver": device.driver,
            **facts,
            "runs": [asdict(run) for run in runs],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        draw(runs, f"{options.channels} channels at {options.size}x{options.size}, {device.label}", options.plot)


if __name__ == "__main__":
    main()
