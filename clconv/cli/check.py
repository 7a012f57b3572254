"""`clconv check`: whether a device computes right."""

import json
import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from clconv.check.report import Report, all_subjects, check_device
from clconv.check.run import Outcome
from clconv.cli.options import chosen_devices, listed
from clconv.device import Device
from clconv.provenance import environment
from clconv.tuning import PASSES


@click.command()
@click.option(
    "--device", "names", multiple=True, metavar="NAME", help="Device to check: index, kind, part of a name, or 'all'; repeatable."
)
@click.option("--pass", "passes", default=",".join(PASSES), show_default=True, help="Which, with commas.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for a bug report.")
def check(names: tuple[str, ...], passes: str, as_json: bool) -> None:
    """Compare every variant of every pass with the float64 reference.

    Also compares repeated deterministic runs bit by bit. Exits with 1 if anything is wrong, and says with which call.
    """
    which = listed(passes, "--pass", PASSES)
    if not which:
        raise click.BadParameter(f"expected some of {', '.join(PASSES)}, got nothing", param_hint="--pass")
    reports = [_checked(device, which) for device in chosen_devices(names)]
    if as_json:
        click.echo(json.dumps({**environment(), "reports": [report.as_json() for report in reports]}, indent=1))
    else:
        for report in reports:
            _show(report)
    sys.exit(0 if all(report.good for report in reports) else 1)


def _checked(device: Device, passes: tuple[str, ...]) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(device.label, total=len(all_subjects(device, passes)), at="")

        def advance(outcome: Outcome) -> None:
            progress.update(task, advance=1, at=str(outcome.subject))

        return check_device(device, passes, advance)


def _show(report: Report) -> None:
    console = Console()
    table = Table(
        "pass", "variant", "ok", "wrong", "failed", "not on this device", title=f"{report.device.label}, driver {report.device.driver}"
    )
    keys = dict.fromkeys((outcome.subject.which, outcome.subject.variant.name) for outcome in report.outcomes)
    for which, variant in keys:
        own = [outcome for outcome in report.outcomes if (outcome.subject.which, outcome.subject.variant.name) == (which, variant)]
        counts = [str(sum(outcome.verdict == verdict for outcome in own)) for verdict in ("ok", "wrong", "failed")]
        reasons = dict.fromkeys(outcome.detail for outcome in own if outcome.verdict == "refused")
        table.add_row(which, variant, *counts, "; ".join(reasons))
    console.print(table)
    for outcome in report.bad:
        console.print(f"[bold red]{outcome.verdict}[/] {outcome.subject}")
        console.print(outcome.detail, markup=False, highlight=False)
    console.print(
        "[green]all right[/]" if report.good else f"[bold red]{len(report.bad)} of {len(report.outcomes)} checks are not right[/]"
    )
