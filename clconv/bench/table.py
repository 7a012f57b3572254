"""A report's rows as a table: in the terminal, as Markdown, and as CSV; and the suites of layers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from clconv.bench.figures import bytes_per_second, flops_per_second, peers_of, ratios, seconds, share
from clconv.bench.layers import Layer, suites
from clconv.bench.record import Report, Row
from clconv.bench.sheet import TIME, Line, Sheet, sheets
from clconv.bench.words import SETTINGS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_STYLES = {"wrong": "bold red", "failed": "red", "refused": "dim"}

_NARROWEST, _WIDEST = 13, 60
"""Characters of the time's column, into which reasons are folded."""

_DISPENSABLE = ("memory", "GB/s", "GFLOP/s", "of ceiling")
"""Columns that a terminal shows where it has room; the first goes first."""

_GAP = 2
"""Characters between columns."""

_FILE = 1000
"""Characters of a line of what is no terminal: more than any table has."""

_FIELDS = (
    "device", "layer", "pass", "dtype", "precision", "deterministic", "offsets", "fixed_weight", "system", "variant", "verdict", "reason",
    "clock", "median_ms", "q1_ms", "q3_ms", "runs", "remark", "gflops_per_s", "gbytes_per_s", "share_of_ceiling", "memory_bytes",
    "relative_error", "chosen", "device_ms", "call_ms", "enqueue_ms", "numpy_ms", "first_cold_s", "first_warm_s",
)  # fmt: skip


def show(report: Report, console: Console) -> None:
    """Print a table for each device, a line for each row; wrong results are red. A narrow terminal gets fewer columns."""
    from rich.text import Text

    wide = roomy(console)
    if not report.rows:
        wide.print("nothing was measured")
    for sheet in sheets(report):
        wide.print(Text(sheet.device, style="bold"), Text(sheet.about, style="dim"), sep="\n")
        table, left_out = _fitting(sheet, wide.width)
        wide.print(table)
        if left_out:
            wide.print(Text(f"not shown, for want of width: {', '.join(left_out)}\n", style="dim"))


def roomy(console: Console) -> Console:
    """A terminal as it is; for a file or a pipe, a console that cuts nothing off."""
    from rich.console import Console

    return console if console.is_terminal else Console(file=console.file, width=_FILE)


def show_suites(console: Console) -> None:
    """Print the suites with their layers, and where those come from."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("suite", "layer", "input", "weight", "options", "source", box=None, header_style="bold", pad_edge=False)
    for name, members in suites().items():
        for number, layer in enumerate(members):
            shapes = ("x".join(map(str, shape)) for shape in (layer.input, layer.weight))
            table.add_row("" if number else name, layer.name, *shapes, _options(layer), escape(layer.source))
    roomy(console).print(table)


def _options(layer: Layer) -> str:
    """What isn't usual of a layer."""
    usual = {"stride": 1, "padding": 0, "dilation": 1}
    said = [f"{name} {value}" for name, value in layer.options.items() if value != usual[name]]
    if layer.offset_groups is None:
        said.append("no offsets")
    else:
        said += [f"{layer.offset_groups} offset groups"] * (layer.offset_groups > 1) + ["no mask"] * (not layer.mask)
    return ", ".join(said + ["no bias"] * (not layer.bias))


def as_markdown(report: Report) -> str:
    """A heading, a remark and a table for each device."""
    return "\n".join(f"### {_escaped(sheet.device)}\n\n{_escaped(sheet.about)}\n\n{_piped(sheet)}" for sheet in sheets(report))


def as_csv(report: Report) -> str:
    """A line for each row, with plain unrounded numbers; what isn't known is empty. The last columns are the speeds against peers."""
    text, found, names = StringIO(), ratios(report), peers_of(report.rows)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIELDS, *(f"speed_against_{name}" for name in names)])
    for row in report.rows:
        fields = _facts(row) | _figures(row, report)
        writer.writerow([*(fields.get(name) for name in _FIELDS), *(found.get((row.key, name)) for name in names)])
    return text.getvalue()


def _fitting(sheet: Sheet, width: int) -> tuple[Table, list[str]]:
    """The table with as many columns as have room, and those that it lacks."""
    widths, left_out = _widths(sheet), list[str]()
    for name in _DISPENSABLE:
        if sum(widths.values()) + _GAP * (len(widths) - 1) > width:
            del widths[name]
            left_out.append(name)
    return _rich(sheet, widths), left_out


def _widths(sheet: Sheet) -> dict[str, int]:
    """Least characters of each column, by its head; a head's words stand above each other."""
    columns = zip(*(line.cells for line in sheet.lines), strict=True)
    needed = {name: max(len(text) for text in (*name.split(), *cells)) for name, cells in zip(sheet.header, columns, strict=True)}
    return needed | {TIME: _NARROWEST}


def _rich(sheet: Sheet, widths: Mapping[str, int]) -> Table:
    """The columns that have a width."""
    from rich import box
    from rich.table import Table

    table, time = Table(box=box.SIMPLE, header_style="bold", show_edge=False, padding=(0, _GAP - 1, 0, 0)), sheet.header.index(TIME)
    shown = [place for place, name in enumerate(sheet.header) if name in widths]
    for place in shown:
        name = sheet.header[place]
        most = _WIDEST if place == time else None
        table.add_column(
            name.replace(" ", "\n"), justify="left" if place < time else "right", overflow="fold", min_width=widths[name], max_width=most
        )  # fmt: skip
    for line, after in zip(sheet.lines, [*sheet.lines[1:], None], strict=True):
        texts = _texts(line, time)
        table.add_row(*(texts[place] for place in shown), end_section=after is None or after.layer != line.layer)
    return table


def _texts(line: Line, time: int) -> list[Text]:
    """Cells of a line; the verdict colours the time, or the reason why there is none."""
    from rich.text import Text

    texts = [Text(cell, style="bold" if line.kind == "mean" else "") for cell in line.cells]
    texts[time] = Text(line.cells[time], style=_STYLES.get(line.kind, ""), justify="right" if line.kind == "ok" else "left")
    return texts


def _piped(sheet: Sheet) -> str:
    """A table as GitHub's Markdown has it: names to the left, figures to the right."""
    time = sheet.header.index(TIME)
    rule = [":--" if place < time else "--:" for place in range(len(sheet.header))]
    rows = [sheet.header, *(line.cells for line in sheet.lines)]
    header, *body = ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in rows]
    return "\n".join([header, f"|{'|'.join(rule)}|", *body, ""])


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line of a table."""
    for character in "\\|<*_`[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _facts(row: Row) -> dict[str, Any]:
    """What a row says by itself, by CSV's columns."""
    key, time = row.key, row.time
    facts = {name: getattr(key, name) for name in ("device", "layer", *SETTINGS, "system", "variant")}
    facts |= {"pass": key.which, "verdict": row.verdict, "reason": row.reason, "clock": row.main, "chosen": row.chosen}
    facts |= {"memory_bytes": row.memory, "relative_error": row.error}
    facts |= {f"{clock}_ms": 1e3 * spread.median for clock, spread in row.times.items()}
    facts |= {f"first_{cache}_s": value for cache, value in row.first.items()}
    if seconds(row) and time:
        facts |= {"median_ms": 1e3 * time.median, "q1_ms": 1e3 * time.q1, "q3_ms": 1e3 * time.q3, "runs": time.runs, "remark": time.remark}
    return facts


def _figures(row: Row, report: Report) -> dict[str, float | None]:
    """What follows from it, by CSV's columns."""
    flops, moved = flops_per_second(row), bytes_per_second(row)
    return {
        "gflops_per_s": flops and flops / 1e9,
        "gbytes_per_s": moved and moved / 1e9,
        "share_of_ceiling": share(row, report.devices.get(row.key.device, {})),
    }
