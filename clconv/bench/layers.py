"""Layers of real networks and the suites that they form, from bench/suites; and data for them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from clconv.arrays import NumpyArray
from clconv.errors import ProblemError
from clconv.problem import Problem
from clconv.source import data_directory

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OFFSETS = ("zero", "small", "random", "real", "one")
"""How far offsets reach: nowhere; normal with a deviation of half a pixel; of two pixels; a learned flow field with small deviations; all
to one place in the middle of the image."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer by name; the name means this shape everywhere. Shapes as `Plan` takes them; `source` says which network it is from."""

    name: str
    input: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    offset_groups: int | None = 1
    mask: bool = True
    bias: bool = True
    source: str = ""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Layer":
        """A layer from plain values, lists for shapes."""
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return cls(**plain)

    def problem(self, dtype: str = "float32", precision: str | None = None) -> Problem:
        """The layer in an element type."""
        return Problem.create(
            self.input, self.weight, offset_groups=self.offset_groups, mask=self.mask, bias=self.bias, stride=self.stride,
            padding=self.padding, dilation=self.dilation, dtypes={"input": dtype}, precision=precision,
        )  # fmt: skip

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of a call."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def arrays(self, dtype: str = "float32", offsets: str = "random", seed: int = 0) -> dict[str, NumpyArray]:
        """Operands and grad_output; the same for the same arguments."""
        rng = np.random.default_rng(seed)
        shapes = self.problem(dtype).shapes()
        arrays: dict[str, NumpyArray] = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
        arrays["weight"] *= np.float32(1 / np.sqrt(np.prod(shapes["weight"][1:])))
        if "mask" in arrays:
            arrays["mask"] = 1 / (1 + np.exp(-arrays["mask"]))
        if "offset" in arrays:
            arrays["offset"] = self._to_one_place(shapes["offset"]) if offsets == "one" else _spread(arrays["offset"], offsets)
        arrays["grad_output"] = arrays.pop("output")
        return {name: array.astype(dtype) for name, array in arrays.items()}

    def _to_one_place(self, shape: tuple[int, ...]) -> NumpyArray:
        """Offsets that bring every tap of every output to one place between four pixels."""
        taps = np.indices(self.weight[2:]).reshape(2, -1)
        ways = [
            size // 2 + 0.25 - (np.arange(outputs) * self.stride - self.padding + tap[:, None] * self.dilation)
            for size, outputs, tap in zip(self.input[2:], shape[2:], taps, strict=True)
        ]
        both = np.stack(np.broadcast_arrays(ways[0][:, :, None], ways[1][:, None, :]), 1)
        offsets: NumpyArray = np.resize(both, shape).astype(np.float32)
        return offsets


def _spread(normal: NumpyArray, offsets: str) -> NumpyArray:
    if offsets != "real":
        spread: NumpyArray = normal * np.float32({"zero": 0.0, "small": 0.5, "random": 2.0}[offsets])
        return spread
    flow = _resized(learned_flow(), normal.shape[2:])
    moved: NumpyArray = np.float32(0.25) * normal
    moved[:, 0::2] += flow[0]
    moved[:, 1::2] += flow[1]
    return moved


@cache
def learned_flow() -> NumpyArray:
    """A flow field (2, H, W) as (dy, dx) in pixels, that `clconv demo` learned; bench/make_flow.py made the file."""
    flow: NumpyArray = np.load(_folder() / "flow.npy").astype(np.float32)
    return flow


def _resized(flow: NumpyArray, size: tuple[int, ...]) -> NumpyArray:
    """The flow of an image of another size: nearest places, in the same number of pixels."""
    rows, columns = (np.arange(new) * old // new for old, new in zip(flow.shape[1:], size, strict=True))
    return flow[:, rows[:, None], columns]


def _folder() -> Any:
    return data_directory("suites", "bench", "suites")


@cache
def layers() -> Mapping[str, Layer]:
    """Every layer, by name."""
    listed = tomllib.loads((_folder() / "layers.toml").read_text(encoding="utf-8"))
    return {name: _layer(name, values) for name, values in listed.items()}


def _layer(name: str, values: Mapping[str, Any]) -> Layer:
    convolution = {"offset_groups": None, "mask": False} if values.get("offset_groups") == 0 else {}
    return Layer.from_json({"name": name, **values, **convolution})


@cache
def suites() -> Mapping[str, tuple[Layer, ...]]:
    """Every suite, by name, in the order of the file."""
    listed = tomllib.loads((_folder() / "suites.toml").read_text(encoding="utf-8"))
    return {name: tuple(layers()[layer] for layer in values["layers"]) for name, values in listed.items()}


def suite(name: str) -> tuple[Layer, ...]:
    """The layers of one suite.

    Raises
    ------
    ProblemError
        There is no suite of that name; lists those that there are.
    """
    if name not in suites():
        raise ProblemError(f"suite: expected one of {', '.join(suites())}, got {name!r}")
    return suites()[name]
