"""The rules that differ between systems: what a sample beyond the border is, and when an offset's gradient counts.

A convention never changes the layout of the offsets; they are interleaved (dy, dx) everywhere.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Nonfinite = Literal["propagate", "zero", "raise"]
NONFINITE: tuple[str, ...] = get_args(Nonfinite)


@dataclass(frozen=True, slots=True)
class Convention:
    """One system's rules.

    Attributes
    ----------
    name : str
        The system that the rules are from.
    border : {"zero", "replicate"}
        "zero": the image is extended by zeros to infinity, each corner counts if it lies inside.
        "replicate": a sample counts iff 0 <= y < H and 0 <= x < W; the last row and column are repeated once.
    gate : {"none", "axis", "both"}
        When the gradient of an offset counts. "none": always. "axis": each axis by itself, if -1 - pad < y < H + pad.
        "both": if -1 < y < H and -1 < x < W.
    """

    name: str
    border: Literal["zero", "replicate"]
    gate: Literal["none", "axis", "both"]


CONVENTIONS: dict[str, Convention] = {
    rule.name: rule
    for rule in (
        Convention("torchvision", "zero", "none"),
        Convention("chainer", "zero", "axis"),
        Convention("mmcv", "zero", "both"),
        Convention("openvino", "replicate", "none"),
    )
}
