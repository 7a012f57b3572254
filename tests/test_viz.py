"""Sampling points: against positions written out by hand and the reference's samples, and what is drawn."""

from typing import Any

import numpy as np
import pytest

from clconv import ProblemError
from clconv.arrays import NumpyArray

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'clconv[viz]'")

from matplotlib.figure import Figure

from clconv.viz import draw_sampling_points, sampling_points

GEOMETRY: dict[str, Any] = {"kernel_size": (2, 3), "stride": (2, 3), "padding": ((1, 0), (2, 0)), "dilation": (1, 2)}


def drawn_offset() -> NumpyArray:
    return np.random.default_rng(7).standard_normal((2 * 2 * 6, 4, 5)).astype("float32")


def test_points_without_offsets_are_the_kernel() -> None:
    points = sampling_points(np.zeros((12, 4, 5), "float32"), **GEOMETRY, position=(1, 2))
    assert points.tolist() == [[1, 4], [1, 6], [1, 8], [2, 4], [2, 6], [2, 8]]  # from (1*2 - 1, 2*3 - 2), in steps of (1, 2)


@pytest.mark.parametrize("offset_group", [0, 1])
def test_points_move_by_the_offsets_of_their_position_and_group(offset_group: int) -> None:
    offset = drawn_offset()
    at: dict[str, Any] = {**GEOMETRY, "position": (3, 4), "offset_group": offset_group}
    moved = sampling_points(offset, **at) - sampling_points(0 * offset, **at)
    want = offset[12 * offset_group :][:12, 3, 4].reshape(6, 2)
    assert np.abs(moved - want).max() < 1e-12
    assert np.array_equal(sampling_points(offset[None], **at), sampling_points(offset, **at))


def test_the_picture_shows_each_position_in_a_colour_of_its_own() -> None:
    offset, axes = drawn_offset(), Figure().subplots()
    positions = [(0, 0), (1, 2), (3, 4)]
    draw_sampling_points(axes, np.zeros((8, 13)), offset, **GEOMETRY, positions=positions)
    assert len(axes.images) == 1
    dots = [line for line in axes.lines if line.get_markeredgecolor() == "white"]
    assert len({str(line.get_color()) for line in dots}) == 3
    for line, position in zip(dots, positions, strict=True):
        shown = np.stack([np.asarray(line.get_ydata()), np.asarray(line.get_xdata())], axis=1)
        assert np.array_equal(shown, sampling_points(offset, **GEOMETRY, position=position))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": np.zeros((2, 12, 4, 5))}, r"^offset: expected shape .* of one image, got \(2, 12, 4, 5\)"),
        ({"offset": np.zeros((10, 4, 5))}, r"^offset: expected 2\*OG\*KH\*KW channels"),
        ({"position": (4, 0)}, r"^position: expected an output pixel from \(0, 0\) to \(3, 4\), got \(4, 0\)"),
        ({"position": (0, -1)}, r"^position\[1\]: expected an integer from 0"),
        ({"offset_group": 2}, r"^offset_group: expected a number from 0 to 1, got 2"),
        ({"kernel_size": 0}, r"^kernel_size: expected an integer from 1"),
        ({"padding": "full"}, r"^padding: expected"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"offset": drawn_offset(), **GEOMETRY, "position": (0, 0)} | change
    with pytest.raises(ProblemError, match=message):
        sampling_points(**arguments)
