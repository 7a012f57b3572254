"""Whether results of large layers are right: rows of pixels and channels of them, for the reference takes minutes for the whole."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from clconv import reference
from clconv.arrays import NumpyArray
from clconv.bench.layers import Layer
from clconv.check.closeness import account
from clconv.problem import Problem

Arrays = Mapping[str, NumpyArray]
Spot = tuple[str, tuple[Any, ...], NumpyArray, NumpyArray]
"""A result's name, where in it, what the reference has there, and the magnitude of its terms."""

_PIXELS = 1 << 21
"""Samples that a look at one channel may take; of larger layers one channel is looked at, of others up to four."""


class Spots:
    """What the reference makes of a layer's data, at some places."""

    def __init__(self, layer: Layer, arrays: Arrays, needs: frozenset[str] | None) -> None:
        """`needs` names the gradients of a backward pass; empty for a forward, None for all."""
        self._problem = layer.problem()
        self._options = layer.options
        self._arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
        wanted = frozenset(self._problem.operands()) if needs is None else needs
        self.spots = tuple(spot for spot in self._all(not wanted) if not wanted or spot[0].removeprefix("grad_") in wanted)

    def account(self, results: Arrays, problem: Problem, call: str) -> str:
        """What is wrong about results of `problem`, which has the layer's shape, with the worst elements; empty if nothing is."""
        found = (account(name, results[name][at], want, size, problem, call) for name, at, want, size in self.spots)
        return "\n".join(text for text in found if text)

    def error(self, results: Arrays) -> float:
        """The largest relative error of a result, in the Euclidean norm over its places."""
        names = dict.fromkeys(name for name, *_ in self.spots)
        return max(self._error(name, results[name]) for name in names)

    def _error(self, name: str, result: NumpyArray) -> float:
        pairs = [(result[at].astype(np.float64), want) for own, at, want, _ in self.spots if own == name]
        difference = np.sqrt(sum(float(np.sum((got - want) ** 2)) for got, want in pairs))
        size = np.sqrt(sum(float(np.sum(want**2)) for _, want in pairs))
        return float(difference / size) if difference else 0.0

    def _all(self, forward: bool) -> Iterator[Spot]:
        yield from self._rows(forward)
        if not forward:
            yield from self._channels()
            if self._problem.has_bias:
                grad = self._arrays["grad_output"]
                yield "grad_bias", (slice(None),), grad.sum((0, 2, 3)), np.abs(grad).sum((0, 2, 3))

    def _rows(self, forward: bool) -> Iterator[Spot]:
        """A few rows of output pixels, as a problem of one row: what is special about a row goes into its offsets."""
        problem = self._problem
        images = np.array(sorted({0, problem.batch // 2, problem.batch - 1}))
        rows = np.resize([0, problem.out_height // 2, problem.out_height - 1], images.size)
        arrays: dict[str, Any] = {name: array[images, :, rows][:, :, None] for name, array in self._sampled().items()}
        arrays |= {"input": self._arrays["input"][images], "weight": self._arrays["weight"]}
        arrays["offset"][:, 0::2] += (rows * problem.stride_y)[:, None, None, None]
        far = problem.height + problem.pad_top + problem.pad_bottom
        options = self._options | {"stride": (far, problem.stride_x)}
        grad_output = arrays.pop("grad_output")
        at = (images, slice(None), rows)
        if forward:
            arguments = arrays | options | {"bias": self._arrays.get("bias")}
            want, size = reference.deform_conv2d(**arguments), reference.forward_magnitude(**arguments)
            yield "output", at, want[:, :, 0], size[:, :, 0]
            return
        names = [name for name in ("offset", "mask") if name in problem.operands()]
        if names:
            arguments = {"grad_output": grad_output, **arrays, **options, "needs": frozenset(names)}
            both = reference.deform_conv2d_backward(**arguments), reference.backward_magnitude(**arguments)
            for name in names:
                want, size = (getattr(gradients, name)[:, :, 0] for gradients in both)
                yield f"grad_{name}", at, want, size

    def _sampled(self) -> dict[str, NumpyArray]:
        """Arrays over output pixels; an ordinary convolution gets offsets of zero."""
        arrays: dict[str, NumpyArray] = {name: self._arrays[name] for name in ("offset", "mask", "grad_output") if name in self._arrays}
        problem = self._problem
        zeros = (problem.batch, 2 * problem.taps, problem.out_height, problem.out_width)
        return {"offset": np.zeros(zeros), **arrays}

    def _channels(self) -> Iterator[Spot]:
        """The gradients that belong to a few input channels, each as a problem of its own."""
        problem = self._problem
        last = problem.in_channels - 1
        few = {0, last // 3, 2 * last // 3, last} if problem.out_pixels * problem.taps < _PIXELS else {last // 2}
        for channel in sorted(few):
            yield from self._channel(channel)

    def _channel(self, channel: int) -> Iterator[Spot]:
        problem = self._problem
        group, in_group = divmod(channel, problem.group_in)
        outs = slice(group * problem.group_out, (group + 1) * problem.group_out)
        sample = channel * problem.sample_groups // problem.in_channels
        arrays: dict[str, Any] = {name: _of_group(array, name, sample, problem) for name, array in self._sampled().items()}
        arrays |= {"grad_output": arrays["grad_output"][:, outs], "input": self._arrays["input"][:, channel : channel + 1]}
        arguments: dict[str, Any] = {**arrays, **self._options, "weight": self._arrays["weight"][outs, in_group : in_group + 1]}
        arguments["needs"] = frozenset({"input", "weight"})
        want, size = reference.deform_conv2d_backward(**arguments), reference.backward_magnitude(**arguments)
        yield "grad_input", (slice(None), channel), want.input[:, 0], size.input[:, 0]
        yield "grad_weight", (outs, in_group), want.weight[:, 0], size.weight[:, 0]


def _of_group(array: NumpyArray, name: str, sample: int, problem: Problem) -> NumpyArray:
    entries = {"offset": 2 * problem.taps, "mask": problem.taps}.get(name)
    return array if entries is None else array[:, sample * entries : (sample + 1) * entries]
