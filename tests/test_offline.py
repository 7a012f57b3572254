"""The forward by matrix units of AMD and Intel compiles offline, without spills, where the offline compilers are installed."""

from pathlib import Path

import pytest
from offline import paper
from offline.toolchain import Missing

from clconv import units


@pytest.mark.parametrize("target", paper.UNITS)
def test_layers_compile_without_spills(target: str, tmp_path: Path) -> None:
    found = [row for row in paper.rows(target, ("r50c3", "r50c4", "edvr", "channels-prime")) if row.variant in units.UNITS]
    assert len(found) == 8
    try:
        figures = paper.compiled(found, tmp_path)
    except Missing as missing:
        pytest.skip(str(missing))
    spilled = {
        f"{row.layer}, {row.dtype}, {row.tile}": each
        for row, each in zip(found, figures, strict=True)
        if paper.spills(each) or each["private"]
    }
    assert not spilled


def test_occupancy_by_what_is_used_most() -> None:
    """By hand: 4 waves of 220 registers, two a SIMD; 16 threads of 8 lanes with twice the registers, and local memory for two groups."""
    figures = {"simd": 64, "registers": 220, "local": 27408}
    assert paper.groups_at_once(paper.UNITS["gfx90a"], figures, 256) == (2, "registers")
    figures = {"simd": 8, "registers": 256, "local": 60000}
    assert paper.groups_at_once(paper.UNITS["dg2"], figures, 128) == (2, "local memory")
