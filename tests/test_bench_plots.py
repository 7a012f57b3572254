"""Plots of reports: what is drawn and written on them, and their files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_reports import GPU, TIMES, bad_rows, key, report, row, scaled
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from clconv import ProblemError
from clconv.bench.compare import compare
from clconv.bench.plots import compare_figure, roofline_figure, save, speed_up_figure


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}


def bars(figure: Figure) -> list[Rectangle]:
    """Of the first panel."""
    return [patch for patch in figure.subfigs[0].axes[0].patches if isinstance(patch, Rectangle)]


def figures() -> dict[str, Figure]:
    whole = report(extra=bad_rows())
    return {
        "speed": speed_up_figure(whole),
        "roofline": roofline_figure(whole),
        "compare": compare_figure(compare({"old": whole, "new": report(scaled({"one": 2.0, "two": 0.9}), extra=[row(key("three"), 1.0)])})),
    }


@pytest.mark.parametrize("name", ["speed", "roofline", "compare"])
@pytest.mark.parametrize("ending", ["png", "SVG"])
def test_pictures_are_written(name: str, ending: str, tmp_path: Path) -> None:
    before, path = dict(rcParams), tmp_path / f"a.{ending}"
    save(figures()[name], path)
    assert dict(rcParams) == before
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n" if ending == "png" else b"<?xml")
    assert len(content) > 10_000
    again = tmp_path / f"b.{ending}"
    save(figures()[name], again)
    assert again.read_bytes() == content


def test_a_picture_is_a_png_or_svg(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"^path: expected a name that ends in \.png or \.svg, got 'a\.jpg'"):
        save(Figure(), tmp_path / "a.jpg")


def test_speed_ups_are_drawn() -> None:
    figure = figures()["speed"]
    assert {"one", "two", "three", "geometric mean", "forward", "backward", "torchvision"} <= words(figure)
    assert {"2.00", "8.00", "0.500", "4.00", "clconv WRONG", "clconv failed"} <= words(figure)
    assert [axes.get_xscale() for axes in figure.subfigs[0].axes] == ["log", "log"]  # from 0.5 to 8
    assert [bar.get_x() + bar.get_width() for bar in bars(figure)] == pytest.approx([2.0, 8.0, 4.0])


def test_peers_differ_in_colour_and_hatching() -> None:
    drawn = bars(speed_up_figure(report(extra=[row(key("one", system="onnxruntime"), 3.0)])))
    assert len({bar.get_hatch() for bar in drawn}) == len({bar.get_facecolor() for bar in drawn}) == 2


def test_near_speed_ups_have_a_linear_scale() -> None:
    near = {("one", "forward", "clconv"): 2.0, ("one", "forward", "torchvision"): 4.0}
    (axes,) = speed_up_figure(report(near)).subfigs[0].axes
    assert axes.get_xscale() == "linear"
    assert axes.get_xlim()[0] == 0


def test_the_roofline_has_both_ceilings_and_all_points() -> None:
    figure = figures()["roofline"]
    assert {"4000 GFLOP/s", "20.0 GB/s", "one", "two", "forward", "backward", "clconv", "torchvision"} <= words(figure)
    points = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert len(points) == len(TIMES) + 1
    assert {str(line.get_marker()) for line in points} == {"o", "s"}
    assert {str(line.get_fillstyle()) for line in points} == {"full", "left"}
    assert points[0].get_xydata() == pytest.approx(np.array([[200.0, 2000.0]]))


def test_comparisons_are_drawn_hollow_within_the_spread() -> None:
    figure = figures()["compare"]
    assert {"Speed against old; hollow where spreads overlap\n" + f"{GPU}, float32, random offsets", "new", "WRONG in the first"} <= words(
        figure
    )
    drawn = bars(figure)
    assert [bar.get_width() for bar in drawn] == pytest.approx([2.0, 0.9, 1.8**0.5])
    assert [bar.get_facecolor() == (1.0, 1.0, 1.0, 1.0) for bar in drawn] == [False, True, False]


@pytest.mark.parametrize("draw", [speed_up_figure, roofline_figure])
def test_nothing_to_draw_is_said(draw: Any, tmp_path: Path) -> None:
    alone = report({}, extra=[row(key("four"), 1.0, verdict="failed", times={}, reason="lost")])
    assert any("nothing was measured" in word or "no row has a time" in word for word in words(draw(alone)))
    save(draw(alone), tmp_path / "a.png")
