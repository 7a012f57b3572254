"""Random problems for comparisons with other systems, and the file that keeps what those systems answered."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

FOLDER = Path(__file__).parent
"""Where the golden files are."""

INFINITE = (np.inf, -np.inf, 1e20, -1e6, 3e9)
"""Offsets that lead far outside of any image."""


@dataclass(frozen=True, slots=True)
class Case:
    """A random problem of fixed shape; pairs are (y, x). `offset_groups=0` is an ordinary convolution.

    `padding` is "same" or a pair, each of its members an integer or a pair (before, after). `spread` is the standard
    deviation of the offsets in pixels; `far` replaces some of them by `INFINITE`. Operands of `dtype` "float32" are exact in
    float64 too, so that one answer serves for both types; those of "float64" are not exact in float32.
    """

    name: str
    input_shape: tuple[int, int, int, int]
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Any = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    offset_groups: int = 1
    mask: bool = False
    bias: bool = True
    dtype: str = "float64"
    spread: float = 1.0
    far: bool = False

    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output, (N, O, OH, OW)."""
        sizes = [self._output_size(axis) for axis in (0, 1)]
        return self.input_shape[0], self.out_channels, sizes[0], sizes[1]

    def _output_size(self, axis: int) -> int:
        extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        before_and_after = extent - 1 if self.padding == "same" else int(np.sum(np.broadcast_to(self.padding[axis], 2)))
        return (self.input_shape[2 + axis] + before_and_after - extent) // self.stride[axis] + 1

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the public functions."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all operands of this problem, and of the output's gradient."""
        batch, channels = self.input_shape[:2]
        pixels, entries = self.output_shape()[2:], self.offset_groups * self.kernel[0] * self.kernel[1]
        shapes: dict[str, tuple[int, ...]] = {"input": self.input_shape, "grad_output": self.output_shape()}
        shapes["weight"] = (self.out_channels, channels // self.groups, *self.kernel)
        if self.offset_groups:
            shapes["offset"] = (batch, 2 * entries, *pixels)
        if self.mask:
            shapes["mask"] = (batch, entries, *pixels)
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes


def draw(case: Case, rng: np.random.Generator) -> Arrays:
    """Operands of `case` by name, with the output's gradient as `grad_output`."""
    arrays = {name: rng.standard_normal(shape) for name, shape in case.shapes().items() if name != "offset"}
    if case.offset_groups:
        arrays["offset"] = _offsets(case, rng)
    return {name: array.astype(case.dtype) for name, array in arrays.items()}


def _offsets(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """Offsets at least 1/20 pixel away from integers, where the systems' derivatives may be those of different cells."""
    shape = case.shapes()["offset"]
    offset: NDArray[np.float64] = np.floor(case.spread * rng.standard_normal(shape)) + rng.uniform(0.05, 0.95, shape)
    if case.far:
        places = rng.choice(offset.size, 4 * len(INFINITE), replace=False)
        offset.flat[places] = np.tile(INFINITE, 4)
    return offset


@dataclass(frozen=True, slots=True)
class Golden:
    """What a system answered: the public name it answers for, keyword arguments, operands, `output` and `grad_*`."""

    name: str
    function: str
    options: dict[str, Any]
    arrays: Arrays

    def operands(self, dtype: str) -> Arrays:
        """The operands in `dtype`, with the output's gradient as `grad_output`."""
        given = [name for name in self.arrays if name == "grad_output" or not name.startswith(("grad_", "output"))]
        return {name: self.arrays[name].astype(dtype) for name in given}

    def answers(self) -> Arrays:
        """The output as `output` and the gradients as `grad_*`, all float64."""
        return {name: array for name, array in self.arrays.items() if name not in self.operands("float64")}

    def dtypes(self) -> tuple[str, ...]:
        """Types whose values the operands are: both, or float64 only."""
        return ("float64", "float32") if self.arrays["grad_output"].dtype == np.float32 else ("float64",)


def save(path: Path, versions: Mapping[str, str], records: Iterable[Golden]) -> None:
    """Write one compressed file; the versions that made it stand beside the values."""
    content: dict[str, Any] = {"versions": json.dumps(dict(versions))}
    for record in records:
        content[record.name] = json.dumps({"function": record.function, "options": record.options})
        content.update({f"{record.name}/{key}": array for key, array in record.arrays.items()})
    np.savez_compressed(path, **content)


def load(path: Path) -> list[Golden]:
    """All records of a file that `save` wrote."""
    with np.load(path) as content:
        arrays = {key: content[key] for key in content.files}
    names = [key for key in arrays if "/" not in key and key != "versions"]
    return [_record(name, arrays) for name in names]


def versions(path: Path) -> dict[str, str]:
    """Names and versions of the systems that made a file."""
    with np.load(path) as content:
        return dict(json.loads(str(content["versions"])))


def _record(name: str, arrays: Arrays) -> Golden:
    own = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
    return Golden(name, **json.loads(str(arrays[name])), arrays=own)


def seeded(case: Case) -> np.random.Generator:
    """A generator whose seed is the case's name, so that a new case leaves the others' values alone."""
    return np.random.default_rng(list(case.name.encode()))
