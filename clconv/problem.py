"""Problem: a frozen, validated description of one deformable convolution. No OpenCL here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any, TypeAlias

from clconv.convention import CONVENTIONS, NONFINITE, Convention
from clconv.errors import ProblemError
from clconv.geometry import LIMIT, flag, integer, is_sequence, normalise_padding, output_size, pairs

__all__ = ["DTYPES", "OPERANDS", "Problem", "Shape", "normalise_padding", "pairs"]

Shape: TypeAlias = tuple[int, ...]

DTYPES: dict[str, int] = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
"""Names of the element types, with their size in bytes."""

OPERANDS = ("input", "offset", "weight", "bias", "mask")
"""What a forward pass may read, in the order of the public calls."""

PRECISIONS = (None, "tf32")

_AXES = {
    "input": "(N, C, H, W)",
    "offset": "(N, 2*OG*KH*KW, OH, OW)",
    "weight": "(O, C/groups, KH, KW)",
    "bias": "(O,)",
    "mask": "(N, OG*KH*KW, OH, OW)",
    "output": "(N, O, OH, OW)",
}
_BATCHED = ("input", "offset", "mask", "output")


@dataclass(frozen=True)  # without slots: what is asked for in every call is kept
class Problem:
    """One deformable convolution, without its data.

    `offset_groups` is 0 for an ordinary convolution. Paddings are in pixels at each side. `dtype` is that of input, weight,
    bias and output; `offset_dtype` and `mask_dtype` are the same or float32 beside half data.
    """

    batch: int
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel_y: int
    kernel_x: int
    stride_y: int = 1
    stride_x: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0
    dilation_y: int = 1
    dilation_x: int = 1
    groups: int = 1
    offset_groups: int = 1
    has_mask: bool = False
    has_bias: bool = False
    dtype: str = "float32"
    offset_dtype: str = "float32"
    mask_dtype: str = "float32"
    convention: str = "torchvision"
    nonfinite: str = "propagate"
    precision: str | None = None

    @classmethod
    def create(
        cls,
        input_shape: Sequence[int],
        weight_shape: Sequence[int],
        *,
        offset_groups: int | None,
        mask: bool,
        bias: bool,
        stride: Any,
        padding: Any,
        dilation: Any,
        dtypes: Mapping[str, str],
        convention: str = "torchvision",
        nonfinite: str = "propagate",
        precision: str | None = None,
    ) -> "Problem":
        """Validate what callers write and normalise it; `offset_groups=None` is an ordinary convolution."""
        batch, in_channels, height, width = _dimensions(input_shape, "input", (0, 1, 1, 1))
        out_channels, group_in, kernel_y, kernel_x = _dimensions(weight_shape, "weight", (1, 1, 1, 1))
        stride_y, stride_x = pairs(stride, "stride")
        dilation_y, dilation_x = pairs(dilation, "dilation")
        vertical, horizontal = normalise_padding(padding, (kernel_y, kernel_x), (stride_y, stride_x), (dilation_y, dilation_x))
        _choice("convention", convention, tuple(CONVENTIONS))
        _choice("nonfinite", nonfinite, NONFINITE)
        _choice("precision", precision, PRECISIONS)
        _check_dtypes(dtypes)
        problem = cls(
            batch, in_channels, out_channels, height, width, kernel_y, kernel_x, stride_y, stride_x,
            *vertical, *horizontal, dilation_y, dilation_x,
            groups=_groups(in_channels, group_in, out_channels),
            offset_groups=0 if offset_groups is None else _offset_groups(offset_groups, in_channels),
            has_mask=flag(mask, "mask"), has_bias=flag(bias, "bias"),
            dtype=dtypes["input"], offset_dtype=dtypes.get("offset", dtypes["input"]), mask_dtype=dtypes.get("mask", dtypes["input"]),
            convention=convention, nonfinite=nonfinite, precision=precision,
        )  # fmt: skip
        problem._check_extent()
        return problem

    def _check_extent(self) -> None:
        if self.has_mask and not self.offset_groups:
            raise ProblemError("mask: an ordinary convolution (offset_groups=None) has no mask")
        for axis, padded, out, extent in (
            ("height", self.height + self.pad_top + self.pad_bottom, self.out_height, self.dilation_y * (self.kernel_y - 1) + 1),
            ("width", self.width + self.pad_left + self.pad_right, self.out_width, self.dilation_x * (self.kernel_x - 1) + 1),
        ):
            if padded >= LIMIT:
                raise ProblemError(f"padding: expected a padded {axis} below {LIMIT}, got {padded}")
            if out < 1:
                raise ProblemError(f"weight: a kernel that spans {extent} pixels doesn't fit the padded input's {axis} of {padded}")
        if self.batch * self.out_height >= 1 << 31:
            raise ProblemError(f"input: expected fewer than 2**31 rows of outputs in a batch, got {self.batch} images of {self.out_height}")

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return output_size(self.height, (self.pad_top, self.pad_bottom), self.kernel_y, self.stride_y, self.dilation_y)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return output_size(self.width, (self.pad_left, self.pad_right), self.kernel_x, self.stride_x, self.dilation_x)

    @property
    def taps(self) -> int:
        """Positions of the kernel: KH * KW."""
        return self.kernel_y * self.kernel_x

    @property
    def out_pixels(self) -> int:
        """Output positions of the whole batch."""
        return self.batch * self.out_height * self.out_width

    @property
    def group_in(self) -> int:
        """Input channels of one convolution group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one convolution group."""
        return self.out_channels // self.groups

    @property
    def sample_groups(self) -> int:
        """Groups of input channels that share their sampling positions; an ordinary convolution has one."""
        return max(self.offset_groups, 1)

    @property
    def accumulator(self) -> str:
        """Type of coordinates, bilinear weights and sums."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def factor_eps(self) -> float:
        """To what products may round their factors, beyond what the data's type does: 11 bits for halves and "tf32"."""
        return 2.0**-10 if DTYPES[self.dtype] == 2 or self.precision == "tf32" else 0.0

    @property
    def rules(self) -> Convention:
        """The convention's rules."""
        return CONVENTIONS[self.convention]

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass's product; the backward has twice as many."""
        return 2 * self.out_pixels * self.out_channels * self.group_in * self.taps

    @cached_property
    def wide(self) -> bool:
        """Whether a tensor, or the input with a pixel behind each image, is so large that its elements need 64-bit indices."""
        images = self.batch * (self.height * self.width + 1) * self.in_channels
        return max(images, *(prod(shape) for shape in self.shapes().values())) >= 1 << 31

    def shapes(self) -> Mapping[str, Shape]:
        """Shapes of all operands that this problem has, and of its output."""
        return self._shapes

    @cached_property
    def _shapes(self) -> Mapping[str, Shape]:
        pixels = (self.out_height, self.out_width)
        entries = self.offset_groups * self.taps
        shapes: dict[str, Shape] = {
            "input": (self.batch, self.in_channels, self.height, self.width),
            "weight": (self.out_channels, self.group_in, self.kernel_y, self.kernel_x),
            "output": (self.batch, self.out_channels, *pixels),
        }
        if self.offset_groups:
            shapes["offset"] = (self.batch, 2 * entries, *pixels)
        if self.has_mask:
            shapes["mask"] = (self.batch, entries, *pixels)
        if self.has_bias:
            shapes["bias"] = (self.out_channels,)
        return MappingProxyType(shapes)

    def dtype_of(self, operand: str) -> str:
        """Element type of an operand, of its gradient, or of the output."""
        return self.offset_dtype if operand == "offset" else self.mask_dtype if operand == "mask" else self.dtype

    def operands(self) -> tuple[str, ...]:
        """What the forward pass reads, in the order of the public calls."""
        return self._operands

    @cached_property
    def _operands(self) -> tuple[str, ...]:
        return tuple(name for name in OPERANDS if name in self.shapes())

    def bytes_of(self, operand: str) -> int:
        """Size of an operand or of the output."""
        return prod(self.shapes()[operand]) * DTYPES[self.dtype_of(operand)]

    def with_batch(self, batch: int) -> "Problem":
        """The same problem for another number of images."""
        return replace(self, batch=batch)


def check_shape(problem: Problem, name: str, shape: Shape, *, unbatched: bool = False, label: str | None = None) -> None:
    """Raise ProblemError unless `shape` is what `problem` expects of operand `name` (of "output" for its gradient)."""
    expected = problem.shapes()[name]
    axes = _AXES[name]
    if unbatched and name in _BATCHED:
        expected, axes = expected[1:], axes.replace("N, ", "")
    if tuple(shape) != expected:
        raise ProblemError(f"{label or name}: expected shape {axes} = {expected}, got {tuple(shape)}")


def infer_offset_groups(offset_shape: Shape, kernel_y: int, kernel_x: int) -> int:
    """Offset groups from the offset's channels, 2*OG*KH*KW."""
    channels, step = offset_shape[-3], 2 * integer(kernel_y, "weight.shape[2]", 1) * integer(kernel_x, "weight.shape[3]", 1)
    if channels == 0 or channels % step:
        raise ProblemError(f"offset: expected 2*OG*KH*KW channels, a multiple of {step} for a {kernel_y}x{kernel_x} kernel, got {channels}")
    return channels // step


def _dimensions(shape: Any, name: str, least: tuple[int, ...]) -> tuple[int, int, int, int]:
    if not is_sequence(shape) or len(shape) != 4:
        raise ProblemError(f"{name}: expected a shape {_AXES[name]}, got {shape!r}")
    a, b, c, d = (integer(size, f"{name}.shape[{axis}]", least[axis]) for axis, size in enumerate(shape))
    return a, b, c, d


def _choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if not isinstance(value, str | None) or value not in allowed:
        raise ProblemError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")


def _groups(in_channels: int, group_in: int, out_channels: int) -> int:
    if in_channels % group_in:
        raise ProblemError(f"weight: its {group_in} channels (weight.shape[1] = C/groups) must divide the input's {in_channels}")
    groups = in_channels // group_in
    if out_channels % groups:
        raise ProblemError(
            f"weight: its {out_channels} outputs (weight.shape[0]) must be a multiple of the {groups} groups that C / weight.shape[1] gives"
        )
    return groups


def _offset_groups(value: Any, in_channels: int) -> int:
    offset_groups = integer(value, "offset_groups", 1)
    if in_channels % offset_groups:
        raise ProblemError(f"offset: its {offset_groups} offset groups must divide the input's {in_channels} channels")
    return offset_groups


def _check_dtypes(dtypes: Mapping[str, str]) -> None:
    data = dtypes["input"]
    for name, dtype in dtypes.items():
        if dtype not in DTYPES:
            raise ProblemError(f"{name}: expected an array of {', '.join(DTYPES)}, got {dtype}")
    for name, dtype in dtypes.items():
        allowed = {data, "float32"} if name in ("offset", "mask") and DTYPES[data] == 2 else {data}
        if dtype not in allowed:
            raise ProblemError(f"{name}: expected {' or '.join(sorted(allowed))} beside an input of {data}, got {dtype}")
