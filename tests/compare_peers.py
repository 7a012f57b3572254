"""Compares clconv with a peer that is installed beside it, on random problems that are others each time.

    python tests/compare_peers.py [--problems 20] [--seed S] [--device NAME]

Needs torch and torchvision, or Chainer. Prints the worst relative error (Euclidean norm, against the peer's float64) of the output
and of each gradient, and exits 1 if one is over the project's bound, 2 if there is no peer. Data for float32 are exact in float64,
so that the peer answers to the same problem.
"""

import argparse
import importlib.util
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import lcm
from typing import Any, TypeAlias

import numpy as np
from golden import compare
from golden.store import Case, Golden, draw

from clconv import Device
from clconv.device import resolve

Maker: TypeAlias = Callable[[np.random.Generator, str], Golden]
"""Draws a problem in a dtype and asks the peer."""


def main() -> int:
    """Compare what can be compared here; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare clconv with torchvision or Chainer on random problems.")
    parser.add_argument("--problems", type=int, default=20, help="problems of each function and type")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="seed of all problems")
    parser.add_argument("--device", help="index, kind or part of a name")
    arguments = parser.parse_args()
    device, peers = resolve(arguments.device), list(_peers())
    if not peers:
        parser.error("neither torchvision nor Chainer is installed beside clconv")
    dtypes = ("float64", "float32") if device.fp64 else ("float32",)
    print(f"{arguments.problems} problems a line, seed {arguments.seed}, on {device.label}")
    within = [_line(make, dtype, arguments, device) for make in peers for dtype in dtypes]
    return 0 if all(within) else 1


def _line(make: Maker, dtype: str, arguments: argparse.Namespace, device: Device) -> bool:
    """Print the worst errors of one function in one type; whether all are within the bound."""
    rng = np.random.default_rng(arguments.seed)
    worst: dict[str, float] = {}
    for _ in range(arguments.problems):
        record = make(rng, dtype)
        found = compare.errors(compare.answers(record, dtype, device), record.answers())
        worst |= {name: float(np.maximum(error, worst.get(name, 0.0))) for name, error in found.items()}  # keeps NaN
    allowed = compare.bound(record, dtype)
    within = all(error <= allowed for error in worst.values())
    errors = "  ".join(f"{name} {error:.1e}" for name, error in worst.items())
    print(f"{record.function:33} {dtype}  {'ok' if within else 'TOO FAR'} ({allowed:.0e}):  {errors}", flush=True)
    return within


def _peers() -> Iterator[Maker]:
    """One maker for each function that a peer installed here has; importing a peer takes seconds, so it is done only here."""
    if importlib.util.find_spec("torchvision"):
        from golden import make_torchvision

        yield partial(_torch, "deform_conv2d", make_torchvision.deform_conv2d)
        yield partial(_torch, "conv2d", make_torchvision.conv2d)
    if importlib.util.find_spec("chainer"):
        from golden import make_chainer

        yield partial(_chainer, make_chainer)


def _torch(function: str, evaluate: Callable[..., Any], rng: np.random.Generator, dtype: str) -> Golden:
    case = _random_case(rng, dtype)
    if function == "conv2d":
        case = replace(case, offset_groups=0, mask=False)
    operands = draw(case, rng)
    return Golden(case.name, function, case.options(), {**operands, **evaluate(operands, case.options())})


def _chainer(peer: Any, rng: np.random.Generator, dtype: str) -> Golden:
    case = replace(_random_case(rng, dtype), dilation=(1, 1), groups=1, offset_groups=1, mask=False)
    operands, options = peer.renamed(draw(case, rng)), peer.sampler_options(case)
    return Golden(case.name, "deformable_convolution_2d_sampler", options, {**operands, **peer.sampler(operands, options)})


def _random_case(rng: np.random.Generator, dtype: str) -> Case:
    """A problem of some hundred to some ten thousand samples, whose output has several rows and columns."""
    kernel, stride, dilation, padding = (_pair(rng, *limits) for limits in ((1, 4), (1, 3), (1, 3), (0, 3)))
    groups, offset_groups = _integer(rng, 1, 4), _integer(rng, 1, 3)
    outputs = (_integer(rng, 3, 6), _integer(rng, 7, 9))
    height, width = (
        max(2, step * (out - 1) + gap * (size - 1) + 1 - 2 * pad)
        for out, size, step, gap, pad in zip(outputs, kernel, stride, dilation, padding, strict=True)
    )
    return Case(
        "random", (_integer(rng, 1, 5), lcm(groups, offset_groups) * _integer(rng, 1, 3), height, width), groups * _integer(rng, 1, 4),
        kernel, stride, padding, dilation, groups, offset_groups, mask=bool(_integer(rng, 0, 1)), bias=bool(_integer(rng, 0, 1)),
        dtype=dtype, spread=float(rng.uniform(0.5, 4)),
    )  # fmt: skip


def _pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    return _integer(rng, low, high), _integer(rng, low, high)


def _integer(rng: np.random.Generator, low: int, high: int) -> int:
    """An integer from low to high, both included."""
    return int(rng.integers(low, high + 1))


if __name__ == "__main__":
    raise SystemExit(main())
