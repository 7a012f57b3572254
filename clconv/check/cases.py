"""Named problems that any implementation of these operators has to get right, and their data."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from zlib import crc32

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np

from clconv.arrays import NumpyArray
from clconv.convention import CONVENTIONS
from clconv.problem import Problem


@dataclass(frozen=True)
class Case:
    """One problem. `offset_groups` None is an ordinary convolution; `offsets` says how far they reach, `data` what the rest is like."""

    name: str
    input: tuple[int, int, int, int] = (2, 6, 7, 9)
    weight: tuple[int, int, int, int] = (4, 6, 3, 3)
    offset_groups: int | None = 1
    mask: bool = True
    bias: bool = True
    stride: Any = 1
    padding: Any = 1
    dilation: Any = 1
    convention: str = "torchvision"
    nonfinite: str = "propagate"
    offsets: str = "random"
    data: str = "normal"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of a call."""
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return options if self.offset_groups is None else options | {"convention": self.convention, "nonfinite": self.nonfinite}

    @property
    def seed(self) -> int:
        """Seed of the case's data, from its name."""
        return crc32(self.name.encode())

    def problem(self, dtype: str = "float32", small: str | None = None) -> Problem:
        """`small` is the type of offset and mask."""
        return Problem.create(
            self.input, self.weight, offset_groups=self.offset_groups, mask=self.mask, bias=self.bias, stride=self.stride,
            padding=self.padding, dilation=self.dilation, convention=self.convention, nonfinite=self.nonfinite,
            dtypes={"input": dtype, "offset": small or dtype, "mask": small or dtype},
        )  # fmt: skip

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        rng = np.random.default_rng(self.seed)
        problem = self.problem(dtype, small)
        arrays = {name: rng.standard_normal(shape) for name, shape in problem.shapes().items()}
        if self.offsets == "heaps":
            arrays["offset"] = self._heaps(problem, rng)
        elif "offset" in arrays:
            arrays["offset"] = self._spread(arrays["offset"], rng, np.dtype(problem.dtype_of("offset")))
        if self.data != "normal":
            arrays["input"] = self._unusual(arrays["input"], rng)
        arrays["grad_output"] = arrays.pop("output")
        return {name: array.astype(problem.dtype_of(name)) for name, array in arrays.items()}

    def _unusual(self, normal: NumpyArray, rng: np.random.Generator) -> NumpyArray:
        """Magnitudes from 1e-30 to 1e30 ("range"), small pixels beside large ones ("beside"), or a few infinities and NaN ("strange")."""
        if self.data == "range":
            return normal * 10.0 ** rng.uniform(-30, 30, normal.shape)
        if self.data == "beside":
            return normal * 2.0 ** -rng.choice([0, 12, 24], (normal.shape[0], 1, *normal.shape[2:]))
        return np.where(rng.random(normal.shape) < 1e-3, rng.choice([np.inf, -np.inf, np.nan], normal.shape), normal)

    def _spread(self, normal: NumpyArray, rng: np.random.Generator, dtype: np.dtype[Any]) -> NumpyArray:
        if self.offsets == "edges":
            return np.resize(self.edges(dtype), normal.shape)
        height, width = self.input[2:]
        extreme = [0, 1e20, -1e20, np.inf, -np.inf, 2.0**31, -(2.0**31), 3.4e38, height, -width]
        spread: dict[str, NumpyArray] = {
            "random": 2 * normal,
            "zero": 0 * normal,
            "integer": np.round(3 * normal),
            "border": np.round(4 * normal) + rng.choice([0, 1e-3, -1e-3], normal.shape),
            "far": np.where(rng.random(normal.shape) < 0.3, rng.choice(extreme, normal.shape), normal),
            "nan": np.where(rng.random(normal.shape) < 0.05, np.nan, 2 * normal),
            "one": 0 * normal + 0.25,
        }
        return spread[self.offsets]

    @staticmethod
    def _heaps(problem: Problem, rng: np.random.Generator) -> NumpyArray:
        """Offsets that bring all samples of a tap into one cell, from the border on in each tap a further one."""
        shape = problem.shapes()["offset"]
        offsets = rng.uniform(0.1, 0.9, (shape[0], problem.sample_groups, problem.taps, 2, *shape[2:]))
        outputs = np.mgrid[: problem.out_height, : problem.out_width]
        for g, tap in np.ndindex(problem.sample_groups, problem.taps):
            down, right = divmod(tap, problem.kernel_x)
            row, column = (g + tap) % (problem.height + 1) - 1, (g + 2 * tap) % (problem.width + 1) - 1
            offsets[:, g, tap, 0] += row - (outputs[0] * problem.stride_y - problem.pad_top + down * problem.dilation_y)
            offsets[:, g, tap, 1] += column - (outputs[1] * problem.stride_x - problem.pad_left + right * problem.dilation_x)
        return offsets.reshape(shape)

    def edges(self, dtype: np.dtype[Any]) -> NumpyArray:
        """Offsets (M, 2) that put the only tap exactly on all pairs of the coordinates at which a rule changes, and NaN.

        These are -1 - pad, -1, 0, size - 1, size and size + pad, and their neighbours by one number of `dtype`.
        """
        axes = []
        for size in self.input[2:]:
            places = np.array(sorted({-1 - self.padding, -1, 0, size - 1, size, size + self.padding})).astype(dtype)
            beside = [np.nextafter(places, np.array(towards, dtype)) for towards in (-np.inf, np.inf)]
            coordinates = np.unique(np.stack([places, *beside]).astype(np.float64))
            offsets = (coordinates + self.padding).astype(dtype).astype(np.float64)
            exact = offsets - self.padding == coordinates
            axes.append([*offsets[exact], np.nan])
        return np.array(list(product(*axes)))


_BASE = (
    Case("plain"),
    Case("v1", mask=False, bias=False),
    Case("conv", offset_groups=None, mask=False),
    Case("conv-groups", (2, 6, 7, 9), (4, 3, 3, 2), None, mask=False, stride=(1, 2), padding=(2, 1), dilation=(1, 2)),
    Case("groups", (2, 6, 7, 9), (4, 3, 3, 3), offset_groups=3),
    Case("groups-inside", (1, 12, 5, 6), (6, 2, 3, 3), offset_groups=2),
    Case("offset-groups", (2, 6, 7, 9), (5, 6, 3, 3), offset_groups=6),
    Case("odd-channels", (1, 21, 5, 4), (15, 7, 3, 3), offset_groups=7),
    Case("depthwise", (1, 5, 6, 7), (5, 1, 3, 3)),
    Case("many-outputs", (1, 3, 6, 5), (37, 3, 3, 3)),
    Case("prime-batch", (37, 2, 4, 3), (3, 2, 3, 3)),
    Case("kernel-2x5", (2, 4, 7, 9), (4, 4, 2, 5), padding=(1, 2)),
    Case("kernel-1x1-stride-2", (2, 4, 7, 9), (4, 4, 1, 1), stride=2, padding=0),
    Case("kernel-7x7", (1, 3, 9, 8), (2, 3, 7, 7), padding=3),
    Case("height-1", (2, 4, 1, 9), (3, 4, 1, 3), padding=(0, 1)),
    Case("width-1", (2, 4, 9, 1), (3, 4, 3, 1), padding=(1, 0)),
    Case("dilation", (1, 4, 11, 12), (3, 4, 3, 3), dilation=(2, 3), padding=(2, 3)),
    Case("stride", (1, 4, 11, 12), (3, 4, 3, 3), stride=(2, 3), padding=(0, 1)),
    Case("same", (1, 4, 6, 7), (3, 4, 2, 4), padding="same"),
    Case("one-sided-padding", (1, 4, 6, 7), (3, 4, 3, 3), padding=((0, 2), (3, 1))),
    Case("zero-offset", offsets="zero"),
    Case("integer-offset", offsets="integer"),
    Case("border", (1, 4, 5, 6), (3, 4, 3, 3), offsets="border"),
    Case("far", offsets="far"),
    Case("nan", offsets="nan"),
    Case("nan-zero", offsets="nan", nonfinite="zero"),
    Case("one-pixel-image", (1, 4, 1, 1), (3, 4, 3, 3)),
    Case("larger", (1, 32, 24, 25), (40, 32, 3, 3), offset_groups=2),
    Case("deep", (3, 72, 5, 17), (75, 72, 3, 3), offset_groups=3),
    Case("deep-groups", (2, 96, 9, 5), (72, 48, 2, 3), offset_groups=12, stride=(2, 1), dilation=(1, 2), padding=(1, 2)),
    Case("deep-conv", (2, 48, 9, 18), (40, 48, 3, 3), None, mask=False, stride=2),
    Case("deep-v1", (1, 64, 5, 33), (33, 64, 1, 3), mask=False, bias=False),
    Case("wide", (1, 208, 2, 9), (136, 208, 2, 3), offset_groups=2),
    Case("many-channels", (2, 80, 9, 23), (40, 80, 3, 3)),
    Case("deep-far", (2, 32, 6, 17), (40, 32, 3, 3), offset_groups=2, offsets="far"),
    Case("deep-nan", (1, 32, 6, 17), (40, 32, 3, 3), offsets="nan"),
    Case("deep-nan-zero", (1, 32, 6, 17), (40, 32, 3, 3), offsets="nan", nonfinite="zero"),
    Case("deep-border", (1, 32, 5, 16), (40, 32, 3, 3), offsets="border"),
    Case("deep-odd", (1, 37, 6, 11), (20, 37, 3, 3)),
    Case("deep-depthwise", (2, 48, 6, 11), (48, 1, 3, 3), offset_groups=3),
    Case("narrow-groups", (2, 64, 5, 23), (64, 4, 3, 2), offset_groups=2, stride=(1, 2)),
    Case("narrow-groups-conv", (1, 32, 9, 18), (32, 8, 3, 3), None, mask=False),
    Case("narrow-groups-strange", (1, 32, 9, 12), (32, 2, 3, 3), data="strange"),
    Case("heaps", (3, 64, 5, 23), (64, 8, 3, 3), offset_groups=2, offsets="heaps"),
    Case("heaps-depthwise", (1, 12, 9, 9), (24, 1, 3, 2), offset_groups=6, stride=(1, 2), offsets="heaps"),
    Case("heaps-strange", (1, 32, 9, 12), (32, 8, 3, 3), offsets="heaps", data="strange"),
    Case("deep-heaps", (2, 64, 9, 12), (40, 64, 3, 3), offset_groups=2, offsets="heaps"),
    Case("deep-range", (1, 64, 9, 12), (40, 64, 3, 3), data="range"),
    Case("deep-beside", (1, 64, 9, 12), (40, 64, 1, 1), bias=False, padding=0, offsets="integer", data="beside"),
    Case("deep-strange", (1, 64, 9, 12), (40, 64, 3, 3), data="strange"),
    Case("few-pixels-strange", (2, 272, 3, 5), (40, 272, 3, 3), offset_groups=2, data="strange"),
)
_CONVENTIONS = tuple(
    replace(case, name=f"{convention}-{case.name}", convention=convention)
    for convention in ("chainer", "mmcv", "openvino")
    for case in _BASE
    if case.name in ("border", "nan", "one-sided-padding", "height-1", "deep-border")
)
_UNPADDED = tuple(Case(f"{name}-unpadded", padding=0, offsets="border", convention=name) for name in ("torchvision", "chainer", "mmcv"))
_EDGES = tuple(
    Case(f"{name}-edges{pad}{'-zero' if nonfinite == 'zero' else ''}", (361, 2, 4, 5), (2, 2, 1, 1), stride=(4 + 2 * pad, 5 + 2 * pad),
         padding=pad, convention=name, nonfinite=nonfinite, offsets="edges")
    for name in CONVENTIONS
    for pad in (0, 1)
    for nonfinite in ("propagate", "zero")
)  # fmt: skip

CASES = _BASE + _CONVENTIONS + _UNPADDED + _EDGES
BY_NAME = {case.name: case for case in CASES}
TYPED = tuple(BY_NAME[name] for name in ("plain", "conv", "groups", "border", "nan", "narrow-groups"))
"""The cases that every element type goes through; the others run in float32."""
