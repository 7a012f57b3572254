"""The picture of the demo: what went in, what came out, where the layer looks, and how the error fell."""

from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import clconv
from clconv.demo.alignment import Step
from clconv.demo.experiment import Result

Floats = NDArray[np.float32]

_INK, _FAINT, _RULE, _ACCENT = "#1a1a1a", "#5c5c5c", "#c4c4c4", "#a8123a"
_STYLE = {"font.family": "DejaVu Sans", "text.color": _INK, "axes.edgecolor": _RULE, "axes.linewidth": 0.8}

_INCHES, _DOTS = (16, 10.2), 150
"""Size of the picture, and dots an inch: 2400 x 1530 pixels."""

_GRID = {"left": 0.022, "right": 0.978, "top": 0.824, "bottom": 0.044, "wspace": 0.075, "hspace": 0.2}
"""Where the panels are: square, as the photograph is."""

_DIFFERENCE = 0.4
"""Difference of two pixels that is drawn black, of values from 0 to 1."""

_LINES = 19
"""Rows and columns of pixels whose sampling points are drawn."""

_AROUND = 2.5
"""Pixels seen around the taps of one output pixel."""


def draw(result: Result, path: Path) -> None:
    """Write the picture as a PNG of 2400 x 1530 pixels.

    Parameters
    ----------
    result : Result
    path : Path
        Of the file, which is overwritten.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, dpi=_DOTS, facecolor="white")
        (photograph, warped, recovered, points), (curve, before, after, pixel) = figure.subplots(2, 4, gridspec_kw=_GRID)
        _words(figure, result)
        _pictures(photograph, warped, recovered, result)
        _differences(before, after, result)
        _sampling_points(points, result)
        _one_pixel(pixel, result)
        _curve(curve, result)
        figure.savefig(path, format="png")


def _words(figure: Figure, result: Result) -> None:
    (before, after), (lost, found) = result.psnr, result.end_point_error
    told = (
        f"Every output pixel learned where to look in the warped picture: {lost:.1f} pixels off on average before, {found:.2f} after. "
        f"PSNR rose from {before:.1f} to {after:.1f} dB."
    )
    source = (
        f"Learned in {result.seconds:.0f} s on {result.device.label}, forward and backward by clconv {clconv.__version__}. "
        "Photograph: Rachel Michetti, courtesy of Pikolo Espresso Bar (CC0), from scikit-image."
    )
    figure.text(0.022, 0.952, "A deformable convolution learned to undo a warp", size=26, weight="bold", va="center")
    figure.text(0.022, 0.907, told, size=13, color=_FAINT, va="center")
    figure.text(0.022, 0.02, source, size=9, color=_FAINT, va="center")


def _pictures(photograph: Axes, warped: Axes, recovered: Axes, result: Result) -> None:
    before, after = result.psnr
    _show(photograph, _pixels(result.scene.photograph), "Photograph", "what is wanted")
    _show(warped, _pixels(result.scene.warped), "Warped", f"what the layer is given: {before:.1f} dB")
    _show(recovered, _pixels(result.alignment.output), "Recovered", f"what the layer makes of it: {after:.1f} dB")


def _differences(before: Axes, after: Axes, result: Result) -> None:
    for panel, picture, name in ((before, result.scene.warped, "before"), (after, result.alignment.output, "after")):
        difference = np.abs(picture - result.scene.photograph).mean(axis=0)
        remark = f"{difference.mean():.1%} on average; black is {_DIFFERENCE:.0%} or more"
        _show(panel, difference, f"Difference {name}", remark, cmap="gray_r", vmin=0, vmax=_DIFFERENCE)


def _sampling_points(panel: Axes, result: Result) -> None:
    """Draw a regular grid of output pixels at the points where they look."""
    _show(panel, _pale(result.scene.warped), "Where it looks", "a regular grid, moved to the learned points")
    size = len(result.scene.warped[0])
    lines = np.linspace(0, size - 1, _LINES).round().astype(int)
    dy, dx = result.alignment.displacement[:, lines[:, None], lines]
    y, x = lines[:, None] + dy, lines + dx
    for rows in ((x.T, y.T), (x, y)):
        panel.plot(*rows, color=_ACCENT, linewidth=0.8)
    panel.plot(x.ravel(), y.ravel(), "o", color=_ACCENT, markersize=3.2, markeredgewidth=0)
    _frame(panel, 0, size - 1, 0, size - 1)


def _one_pixel(panel: Axes, result: Result) -> None:
    """Draw the taps of one output pixel close up, before and after."""
    remark = "where its nine taps were, and what they learned"
    _show(panel, _pixels(result.scene.warped), "One output pixel", remark, interpolation="nearest")
    row, column = _telling_pixel(result.alignment.displacement)
    kernel = result.alignment.weight.shape[-1]
    stood = np.moveaxis(np.indices((kernel, kernel)), 0, -1) - kernel // 2 + (row, column)
    look = stood + result.alignment.offset[0, :, row, column].reshape(kernel, kernel, 2)
    _taps(panel, stood, "white", _INK)
    _taps(panel, look, _ACCENT, "white")
    points = np.concatenate([stood, look]).reshape(-1, 2)
    middle, reach = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0).max() / 2 + _AROUND
    _frame(panel, middle[1] - reach, middle[1] + reach, middle[0] - reach, middle[0] + reach)


def _taps(panel: Axes, points: NDArray[np.floating], fill: str, edge: str) -> None:
    """Draw the taps (kernel, kernel, 2) of one pixel as the knots of a net."""
    y, x = np.moveaxis(points, -1, 0)
    for color, width in ((edge, 4.4), (fill, 2.2)):
        panel.plot(x, y, color=color, linewidth=width)
        panel.plot(x.T, y.T, color=color, linewidth=width)
    panel.plot(x.ravel(), y.ravel(), "o", color=fill, markersize=9, markeredgecolor=edge, markeredgewidth=1.2)


def _telling_pixel(displacement: Floats) -> tuple[int, int]:
    """Find an output pixel that looks far away and whose taps are bent: by the product of both."""
    slopes = np.sqrt(sum(slope**2 for part in displacement for slope in np.gradient(part)))
    edge = len(slopes) // 8
    telling = (np.hypot(*displacement) * slopes)[edge:-edge, edge:-edge]
    row, column = np.unravel_index(telling.argmax(), telling.shape)
    return int(row) + edge, int(column) + edge


def _curve(panel: Axes, result: Result) -> None:
    """Draw the error over the steps, and at which sizes of the pictures they were taken."""
    steps = result.alignment.steps
    numbers, percent = [step.number for step in steps], [100 * step.error**0.5 for step in steps]
    _caption(panel, "The error falls", f"{numbers[-1]} steps, at 32 to 256 pixels")
    panel.semilogy(numbers, percent, color=_ACCENT, linewidth=2.4)
    panel.set(xlim=(0, numbers[-1]), ylim=(min(percent) / 1.5, max(percent) * 1.5), xticks=[], box_aspect=1)
    _levels(panel, steps)
    _percents(panel)
    panel.annotate(f"{percent[-1]:.1f} %", (numbers[-1], percent[-1]), (-6, -16), textcoords="offset points", ha="right", weight="bold")
    panel.annotate(f"{percent[0]:.1f} %", (0, percent[0]), (10, 2), textcoords="offset points", weight="bold")


def _levels(panel: Axes, steps: tuple[Step, ...]) -> None:
    """Rule off the sizes and name them at the foot."""
    for height, group in groupby(steps, lambda step: step.height):
        numbers = [step.number for step in group]
        panel.axvline(numbers[-1], color=_RULE, linewidth=0.8)
        foot = panel.get_xaxis_transform()
        panel.annotate(f"{height}", ((numbers[0] + numbers[-1]) / 2, 0), (0, 6), foot, "offset points", size=9, color=_FAINT, ha="center")


def _percents(panel: Axes) -> None:
    """Rule the error's scale and name it inside, at the right, where the curve has left room."""
    low, high = panel.get_ylim()
    panel.minorticks_off()
    panel.set_yticks([])
    for value in (tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if low * 1.2 < tick < high / 1.1):
        panel.axhline(value, color=_RULE, linewidth=0.8, zorder=0)
        place = panel.get_yaxis_transform()
        panel.annotate(f"{value:g} %", (1, value), (-6, 3), place, "offset points", size=9, color=_FAINT, ha="right")


def _show(panel: Axes, picture: Floats, name: str, remark: str, **how: Any) -> None:
    panel.imshow(picture, **{"interpolation": "lanczos", **how})
    panel.set(xticks=[], yticks=[])
    _caption(panel, name, remark)


def _caption(panel: Axes, name: str, remark: str) -> None:
    panel.annotate(name, (0, 1), (0, 23), "axes fraction", textcoords="offset points", size=14, weight="bold", va="baseline")
    panel.annotate(remark, (0, 1), (0, 8), "axes fraction", textcoords="offset points", size=10, color=_FAINT, va="baseline")


def _frame(panel: Axes, left: float, right: float, top: float, bottom: float) -> None:
    """Show the pixels from left to right and from top to bottom, both included."""
    panel.set(xlim=(left - 0.5, right + 0.5), ylim=(bottom + 0.5, top - 0.5))


def _pixels(picture: Floats) -> Floats:
    """Reorder (channels, height, width) as matplotlib has it, within [0, 1]."""
    return np.moveaxis(picture, 0, -1).clip(0, 1)


def _pale(picture: Floats) -> Floats:
    """A light grey version, to draw on: (height, width, 3)."""
    grey = picture.mean(axis=0, keepdims=True)
    return _pixels(np.repeat(0.55 + 0.45 * grey, 3, axis=0))
