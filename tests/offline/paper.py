"""What the forward pass would do on hardware that isn't here, on paper: registers, local memory and occupancy of its kernels.

From the folder `tests`:

    python -m offline.paper            the tables; fails where a matrix unit's kernel spills
    python -m offline.paper --update   writes them anew in bench/results/forward_paper.md, behind its text
"""

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from os import cpu_count
from pathlib import Path

from planning import DEVICES

from clconv.bench.layers import layers
from clconv.device import Device
from clconv.schedule import Launch, Request, Tile, Variant, ceil_div, round_up
from clconv.source import render
from clconv.tuning import PASSES, refusal
from clconv.units import UNITS as MATRIX_UNITS
from offline.targets import SPILLS, Figures, Source, amd, intel

PATH = Path(__file__).parents[2] / "bench" / "results" / "forward_paper.md"

LAYERS = ("r50c3", "r50c4", "r50c5", "edvr", "basicvsrpp", "r101x", "k5", "channels-prime")
DTYPES = ("float32", "float16")
_UTILITIES = ("ring_last", "pack_weight", "pack_weight_units", "forward_again")


@dataclass(frozen=True)
class Unit:
    """What a part of a GPU that runs whole work-groups has.

    Attributes
    ----------
    about : str
        Its name, and how many the GPU has.
    count : int
        How many.
    parts, most : int
        SIMDs or vector engines in it; waves or threads that one keeps at most.
    registers, step : int
        Registers for each lane of one part, by which its waves share them; 0 where threads have a fixed share.
    local : int
        Bytes of local memory.
    """

    about: str
    count: int
    parts: int
    most: int
    registers: int
    step: int
    local: int


UNITS = {
    "gfx90a": Unit("compute units of one die of an MI250X", 110, 4, 8, 512, 8, 64 << 10),
    "gfx942": Unit("compute units of an MI300X", 304, 4, 8, 512, 8, 64 << 10),
    "gfx1100": Unit("work-group processors of an RX 7900 XTX", 48, 4, 16, 1536, 24, 128 << 10),
    "dg2": Unit("Xe cores of an A770", 32, 16, 8, 0, 0, 128 << 10),
    "pvc": Unit("Xe cores of one stack of a Max 1550", 64, 8, 8, 0, 0, 128 << 10),
}
"""By the vendors: AMD's guides to its instruction sets and to occupancy, Intel's guide to optimising for its GPUs."""


def waves_by_registers(unit: Unit, figures: Figures) -> int:
    """Waves of a part that its registers hold; with twice the registers, an Intel engine has half as many threads."""
    if unit.registers:
        return min(unit.most, unit.registers // round_up(figures["registers"], unit.step))
    return unit.most // (figures["registers"] // 128)


def groups_at_once(unit: Unit, figures: Figures, items: int) -> tuple[int, str]:
    """Work-groups that a unit runs at once, and what keeps it from more."""
    waves = ceil_div(items, figures["simd"])
    limits = {"registers": unit.parts * waves_by_registers(unit, figures) // waves, "local memory": unit.local // max(1, figures["local"])}
    limits["waves"] = unit.parts * unit.most // waves
    least = min(limits.values())
    return least, next(name for name in ("waves", "registers", "local memory") if limits[name] == least)


@dataclass(frozen=True)
class Row:
    """One kernel of a variant with its default tile."""

    target: str
    layer: str
    dtype: str
    variant: str
    tile: Tile
    launch: Launch


def rows(target: str, names: tuple[str, ...] = LAYERS, dtypes: tuple[str, ...] = DTYPES) -> Iterator[Row]:
    """The kernels that multiply, of every variant for this kind of device; of `plain` too."""
    device = DEVICES[target]
    for name in names:
        for dtype in dtypes:
            request = Request(layers()[name].problem(dtype))
            for variant in PASSES["forward"]:
                if refusal(variant, request, device) is None and _is_meant(variant, request, device):
                    tile = variant.tiles(request, device)[0]
                    steps = variant.schedule(request, device, tile).steps
                    launches = [step for step in steps if isinstance(step, Launch) and step.kernel.name not in _UTILITIES]
                    yield from (Row(target, name, dtype, variant.name, tile, launch) for launch in launches)


def _is_meant(variant: Variant, request: Request, device: Device) -> bool:
    return variant.name == "plain" or variant.suits(request, device)


def figures_of(row: Row, folder: Path) -> Figures:
    """What the offline compiler says of a row's kernel; Missing where it isn't installed."""
    folder.mkdir(parents=True)
    file = folder / "kernel.cl"
    file.write_text(render(row.launch.kernel), encoding="utf-8")
    return (amd if row.target.startswith("gfx") else intel)(Source(file, row.launch.kernel.options, folder), row.target)


def compiled(found: list[Row], folder: Path) -> list[Figures]:
    """The same of several, at once; the first alone, for it makes libraries that all share."""
    paths = [folder / row.target / str(number) for number, row in enumerate(found)]
    with ThreadPoolExecutor(cpu_count()) as pool:
        return [figures_of(found[0], paths[0]), *pool.map(figures_of, found[1:], paths[1:])]


def spills(figures: Figures) -> int:
    """Registers that were spilled."""
    return sum(figures.get(name, 0) for name in SPILLS)


def _line(row: Row, figures: Figures) -> str:
    unit, items = UNITS[row.target], prod(row.launch.local_size or (1,))
    groups, limit = groups_at_once(unit, figures, items)
    waves = groups * ceil_div(items, figures["simd"])
    in_all = prod(row.launch.global_size) / items
    rounds = in_all / (groups * unit.count) if groups else float("inf")
    counted = (items, figures["simd"], figures["registers"], spills(figures), figures["private"], f"{figures['local'] / 1024:.1f}")
    occupied = (groups, f"{waves} of {unit.parts * unit.most}", limit, f"{rounds:.1f}")
    cells = (row.layer, row.dtype, row.variant, row.tile, *counted, *occupied)
    return "| " + " | ".join(map(str, cells)) + " |"


HEAD = """| layer | data | variant | tile | items | lanes | registers | spills | private | local, KiB | groups | waves | limit | rounds |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Print or write the tables; 1 if a kernel of a matrix unit spills."""
    tables, spilled = [], False
    with tempfile.TemporaryDirectory() as folder:
        for target, unit in UNITS.items():
            found = list(rows(target))
            figures = compiled(found, Path(folder))
            tables += [f"## {target}: {unit.count} {unit.about}", "\n".join([HEAD, *map(_line, found, figures)])]
            spilled |= any(spills(each) for row, each in zip(found, figures, strict=True) if row.variant in MATRIX_UNITS)
    text = "\n\n".join(tables)
    if "--update" in sys.argv:
        before = PATH.read_text(encoding="utf-8").partition("\n## gfx90a")[0].rstrip()
        PATH.write_text(f"{before}\n\n{text}\n", encoding="utf-8")
    else:
        print(text)
    return int(spilled)


if __name__ == "__main__":
    sys.exit(main())
