"""`clconv compare`: reports of `clconv bench` side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clconv.cli.options import FILE, Number, check_plot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from clconv.bench.compare import Comparison, Match
    from clconv.bench.record import Key

_REPORT = click.Path(exists=True, dir_okay=False, path_type=Path)

_DIRECTION = "speed is [1]'s time / the other's time, medians: above 1, the other one is faster than [1]"

_STYLES = {"faster": "green", "slower": "red", "same": "", "within spread": "dim"}


@click.command()
@click.argument("reports", nargs=-1, required=True, type=_REPORT, metavar="A.json [B.json ...]")
@click.option("--plot", type=FILE, help="Draw the ratios there (.png or .svg).")
@click.option(
    "--fail-below", "least", type=Number(min=0, min_open=True), metavar="SPEED", help="Exit with 1 where it is slower; see above."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def compare(reports: tuple[Path, ...], plot: Path | None, least: float | None, as_json: bool) -> None:
    """Compare reports of `clconv bench` with the first of them.

    Reports of the same device are compared as versions, row by row. Reports of different devices, or one report of several, are
    compared device by device. Speed is A's median time divided by B's: above 1, B is faster than A. A verdict is given only where the
    intervals between the quartiles don't overlap; medians less than 1 % apart are then called the same.

    With --fail-below SPEED it exits with 1 if a row of clconv has a speed below that with spreads that don't overlap, if a geometric
    mean is below it, if a row that was right in A is wrong or failed in B, or if no row can be compared. Peers' rows are shown alone.
    """
    from clconv.bench.compare import compare, failures
    from clconv.bench.record import Report

    if plot is not None:
        check_plot(plot)
    if twice := [str(path) for path in reports if reports.count(path) > 1]:
        raise click.BadParameter(f"{twice[0]} is named more than once", param_hint="REPORTS")
    comparison = compare({str(path): Report.read(path) for path in reports})
    failed = failures(comparison, least) if least is not None else []
    if as_json:
        click.echo(json.dumps({"direction": _DIRECTION, **comparison.as_json(), "failures": failed}, indent=1))
    else:
        _show(comparison)
    if plot is not None:
        _draw(comparison, plot)
    for sentence in failed:
        click.secho(f"below {least:g}, or broken: {sentence}", fg="red", err=True)
    if failed:
        raise SystemExit(1)


def _draw(comparison: Comparison, plot: Path) -> None:
    from clconv.bench.plots import compare_figure, save

    save(compare_figure(comparison), plot)


def _show(comparison: Comparison) -> None:
    from rich.console import Console

    from clconv.bench.table import roomy

    console = roomy(Console())
    _print(console, f"Comparing {comparison.of}; {_DIRECTION}.")
    for number, name in enumerate(comparison.names, 1):
        _print(console, f"[{number}] {name}")
    console.print(_rows(comparison))
    if comparison.left_out:
        _print(console, "\nNot compared:")
        console.print(_lacking(comparison))
    _print(console, "\nRanking, by the geometric mean of the speeds of clconv's rows that all have:")
    console.print(_ranks(comparison) if comparison.ranking else "no row of clconv has a time in all of them")


def _print(console: Console, text: str) -> None:
    """Text as it is: names of reports and devices are no markup."""
    console.print(text, markup=False, highlight=False)


def _rows(comparison: Comparison) -> Table:
    """A line for each row that the first one and another one have: times, and for each of the others speed and verdict."""
    from clconv.bench.words import milliseconds

    numbers = range(2, len(comparison.names) + 1)
    table, describe = _table(comparison, "[1] ms", *(f"[{number}] {what}" for number in numbers for what in ("ms", "speed", "verdict")))
    found = {(match.key, match.other): match for match in comparison.matches}
    for key in dict.fromkeys(match.key for match in comparison.matches):
        matches = [found.get((key, name)) for name in comparison.names[1:]]
        first = next(match.before for match in matches if match)
        table.add_row(*describe(key), milliseconds(first.median), *(cell for match in matches for cell in _cells(match)))
    return table


def _cells(match: Match | None) -> tuple[str | Text, ...]:
    from rich.text import Text

    from clconv.bench.words import digits, milliseconds

    if match is None:
        return "", "", ""
    verdict = Text(f"{match.verdict}, {match.remark}" if match.remark else match.verdict, style=_STYLES[match.verdict])
    return milliseconds(match.after.median), digits(match.ratio), verdict


def _lacking(comparison: Comparison) -> Table:
    """A line for each row that has no time somewhere: why, for each that lacks it."""
    from rich.text import Text

    table, describe = _table(comparison, *(f"[{number}]" for number in range(1, len(comparison.names) + 1)))
    why = {(left.key, left.contender): left.why for left in comparison.left_out}
    for key in dict.fromkeys(left.key for left in comparison.left_out):
        table.add_row(*describe(key), *(Text(why.get((key, name), "ok")) for name in comparison.names))
    return table


def _table(comparison: Comparison, *columns: str) -> tuple[Table, Callable[[Key], list[str]]]:
    """An empty table of rows, and what gives a row's first cells: of a key, what isn't the same for all."""
    from rich.markup import escape
    from rich.table import Table

    from clconv.bench.words import setting, system, varying

    keys = [*(match.key for match in comparison.matches), *(left.key for left in comparison.left_out)]
    names, devices = varying(keys), len({key.device for key in keys}) > 1
    table = Table("layer", "pass", *names, "system", *(["device"] if devices else []), box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column.endswith(("ms", "speed")) else "left")

    def describe(key: Key) -> list[str]:
        known = [key.layer, key.which, *(setting(key, name) for name in names), system(key), *([key.device] if devices else [])]
        return [escape(word) for word in known]

    return table, describe


def _ranks(comparison: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("place", "", "speed", "rows", box=None, header_style="bold", pad_edge=False)
    for place, rank in enumerate(comparison.ranking, 1):
        table.add_row(str(place), Text(rank.name), f"{rank.ratio:.3f}", str(rank.rows))
    return table
