"""The picture of the demo: what went in, what came out, where the layer looks, and how the error fell."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

import clconv
from clconv.demo.alignment import Step
from clconv.demo.experiment import Result

Floats = NDArray[np.float32]

_INK, _FAINT, _RULE, _ACCENT = "#1a1a1a", "#5c5c5c", "#c4c4c4", "#a8123a"
_STYLE = {"text.color": _INK, "axes.edgecolor": _RULE, "axes.linewidth": 0.8}

_INCHES, _DOTS = (16, 10.2), 150
"""Size of the picture, and dots an inch: 2400 x 1530 pixels."""

_GRID = {"left": 0.022, "right": 0.978, "top": 0.824, "bottom": 0.044, "wspace": 0.075, "hspace": 0.2}
"""Where the panels are: square, as the photograph is."""

_DIFFERENCE = 0.4
"""Difference of two pixels that is drawn black, of values from 0 to 1."""

_LINES = 19
"""Rows and columns of pixels whose sampling points are drawn."""

_AROUND = 2
"""Pixels seen around the taps of one output pixel."""

_TELLING = 0.35, 0.5
"""Quantiles of the displacement between which that pixel is chosen."""


def draw(result: Result, path: Path) -> None:
    """Write the picture as a PNG of 2400 x 1530 pixels.

    Parameters
    ----------
    result : Result
    path : Path
        Of the file, which is overwritten.
    """
    with style.context(["default", _STYLE]):  # whatever the user has set
        figure = Figure(figsize=_INCHES, dpi=_DOTS, facecolor="white")
        (photograph, warped, recovered, points), (curve, before, after, pixel) = figure.subplots(2, 4, gridspec_kw=_GRID)
        _words(figure, result)
        _pictures(photograph, warped, recovered, result)
        _differences(before, after, result)
        _sampling_points(points, result)
        _one_pixel(pixel, points, result)
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
        remark = f"{100 * difference.mean():.1f} % on average; black is {100 * _DIFFERENCE:.0f} % or more"
        _show(panel, difference, f"Difference {name}", remark, cmap="gray_r", vmin=0, vmax=_DIFFERENCE)


def _sampling_points(panel: Axes, result: Result) -> None:
    """Draw a regular grid of output pixels at the points where they look."""
    _show(panel, _pale(result.scene.warped), "Where it looks", "a regular grid, moved to the learned points")
    size = result.scene.warped.shape[1]
    lines = np.linspace(0, size - 1, _LINES).round().astype(int)
    dy, dx = result.alignment.displacement[:, lines[:, None], lines]
    y, x = lines[:, None] + dy, lines + dx
    panel.plot(x, y, x.T, y.T, color=_ACCENT, linewidth=0.8)
    panel.plot(x.ravel(), y.ravel(), "o", color=_ACCENT, markersize=3.2, markeredgewidth=0)
    panel.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))


def _one_pixel(panel: Axes, overview: Axes, result: Result) -> None:
    """Draw the taps of one output pixel close up, before and after, and mark in the overview what is seen."""
    remark = "the taps of its kernel, in the marked place"
    _show(panel, _pixels(result.scene.warped), "One output pixel", remark, interpolation="nearest")
    row, column = _telling_pixel(result)
    kernel = result.alignment.weight.shape[-1]
    were = np.moveaxis(np.indices((kernel, kernel)), 0, -1) - kernel // 2 + (row, column)
    went = were + result.alignment.offset[0, :, row, column].reshape(kernel, kernel, 2)
    _taps(panel, were, "before", "white", _INK)
    _taps(panel, went, "learned", _ACCENT, "white")
    points = np.concatenate([were, went]).reshape(-1, 2)
    y, x = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = np.ptp(points, axis=0).max() / 2 + _AROUND
    panel.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
    for color, width in (("white", 4), (_INK, 2)):
        overview.add_patch(Rectangle((x - reach, y - reach), 2 * reach, 2 * reach, fill=False, edgecolor=color, linewidth=width, zorder=3))


def _taps(panel: Axes, points: NDArray[np.floating], name: str, fill: str, edge: str) -> None:
    """Draw the taps (kernel, kernel, 2) of one pixel as the knots of a net, with its name below."""
    y, x = np.moveaxis(points, -1, 0)
    for color, width in ((edge, 4.4), (fill, 2.2)):
        panel.plot(x, y, x.T, y.T, color=color, linewidth=width)
    panel.plot(x.ravel(), y.ravel(), "o", color=fill, markersize=9, markeredgecolor=edge, markeredgewidth=1.2)
    outline = [Stroke(linewidth=3, foreground=edge), Normal()]
    place = (x.mean(), y.max())
    panel.annotate(name, place, (0, -20), textcoords="offset points", size=11, weight="bold", color=fill, ha="center", path_effects=outline)


def _telling_pixel(result: Result) -> tuple[int, int]:
    """Find an output pixel well inside whose taps are bent, lie on an edge of the photograph, and have not gone far."""
    displacement = result.alignment.displacement
    bent = sum(slope**2 for part in displacement for slope in np.gradient(part))
    edge = np.hypot(*np.gradient(result.scene.photograph.mean(axis=0)))
    near, far = np.quantile(distance := np.hypot(*displacement), _TELLING)
    telling = np.where((near < distance) & (distance < far), bent * edge, -1)
    border = len(telling) // 8
    inside = telling[border:-border, border:-border]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return int(row) + border, int(column) + border


def _curve(panel: Axes, result: Result) -> None:
    """Draw the error over the steps, and at which sizes of the pictures they were taken."""
    steps = result.alignment.steps
    numbers, percent = [step.number for step in steps], [100 * step.error**0.5 for step in steps]
    _caption(panel, "The error falls", f"root mean square in {numbers[-1]} steps, coarse to fine")
    panel.semilogy(numbers, percent, color=_ACCENT, linewidth=2.4)
    panel.set(xlim=(0, numbers[-1]), ylim=(min(percent) / 1.6, max(percent) * 1.4), xticks=[], box_aspect=1)
    _sizes(panel, steps)
    _percents(panel, percent[-1])
    for place, value, nudge, side in ((0, percent[0], (10, 0), "left"), (numbers[-1], percent[-1], (-6, 8), "right")):
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        panel.annotate(f"{value:.1f} %", (place, value), nudge, textcoords="offset points", ha=side, weight="bold", bbox=paper)


def _sizes(panel: Axes, steps: tuple[Step, ...]) -> None:
    """Rule off the sizes at which steps were taken, and name them at the foot."""
    foot = panel.get_xaxis_transform()
    for height, group in groupby(steps, lambda step: step.height):
        numbers = [step.number for step in group]
        middle, last = (numbers[0] + numbers[-1]) / 2, numbers[-1]
        panel.axvline(last, color=_RULE, linewidth=0.8, zorder=0)
        name = f"{height} px" if last == steps[-1].number else f"{height}"
        panel.annotate(name, (middle, 0), (0, 6), foot, "offset points", size=9, color=_FAINT, ha="center")


def _percents(panel: Axes, end: float) -> None:
    """Rule the error's scale and name it inside, at the right, where the curve leaves room but at its end."""
    _, high = panel.get_ylim()
    side = panel.get_yaxis_transform()
    panel.minorticks_off()
    panel.set_yticks([])
    for value in (0.5, 1, 2, 5, 10, 20, 50):
        if end * 1.3 < value < high / 1.2:
            panel.axhline(value, color=_RULE, linewidth=0.8, zorder=0)
            panel.annotate(f"{value:g} %", (1, value), (-6, 3), side, "offset points", size=9, color=_FAINT, ha="right")


def _show(panel: Axes, picture: Floats, name: str, remark: str, **how: Any) -> None:
    panel.imshow(picture, **{"interpolation": "lanczos", **how})
    panel.set(xticks=[], yticks=[])
    _caption(panel, name, remark)


def _caption(panel: Axes, name: str, remark: str) -> None:
    panel.annotate(name, (0, 1), (0, 23), "axes fraction", textcoords="offset points", size=14, weight="bold", va="baseline")
    panel.annotate(remark, (0, 1), (0, 8), "axes fraction", textcoords="offset points", size=10, color=_FAINT, va="baseline")


def _pixels(picture: Floats) -> Floats:
    """Reorder (channels, height, width) as matplotlib has it, within [0, 1]."""
    return np.moveaxis(picture, 0, -1).clip(0, 1)


def _pale(picture: Floats) -> Floats:
    """A light grey version, to draw on: (height, width, 3)."""
    grey = picture.mean(axis=0, keepdims=True)
    return _pixels(np.repeat(0.55 + 0.45 * grey, 3, axis=0))
