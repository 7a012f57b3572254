"""How plots look, so that they are read in grey and by the colour-blind too; and where they are written."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

from matplotlib import style
from matplotlib.figure import Figure

from clconv.errors import ProblemError

Fill = Literal["full", "left", "right", "bottom", "top", "none"]

FORMATS = (".png", ".svg")

INK, FAINT, RULE = "#1a1a1a", "#5c5c5c", "#cfcfcf"

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Colours that the colour-blind tell apart (Okabe and Ito 2008), neighbours of different lightness."""

_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "---", "ooo", "+++")
_FILLS: tuple[Fill, ...] = ("full", "left", "none", "bottom", "right", "top")
_DOTS = 150

_STYLE = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.7,
    "svg.hashsalt": "clconv",  # the same picture is the same file
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a system is drawn: a colour, and a bar's hatching or a marker's filled part besides."""

    colour: str
    hatch: str
    fill: Fill


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name."""
    return {
        name: Look(*look) for name, look in zip(names, zip(cycle(_COLOURS), cycle(_HATCHES), cycle(_FILLS), strict=False), strict=False)
    }


def styled() -> AbstractContextManager[None]:
    """Draw in this style, whatever the user has set, which is as it was afterwards."""
    context: AbstractContextManager[None] = style.context(["default", _STYLE])
    return context


def empty(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(8, 2))
    figure.text(0.02, 0.75, title, fontsize=12)
    figure.text(0.02, 0.4, sentence, color=FAINT)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as the picture that the name ends in: .png or .svg.

    Raises
    ------
    ProblemError
        The name ends in something else.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ProblemError(f"path: expected a name that ends in {' or '.join(FORMATS)}, got {path.name!r}")
    with styled():
        figure.savefig(path, format=ending[1:], dpi=_DOTS, facecolor="white", metadata={"Date": None} if ending == ".svg" else None)
