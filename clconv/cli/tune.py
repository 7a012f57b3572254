"""`clconv tune`: find the fastest variant and tile on the user's own device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clconv.cli.options import FILE, chosen_devices, chosen_layers, layer_options, listed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from clconv.bench.call import Job
    from clconv.device import Device
    from clconv.tune.findings import Finding
    from clconv.tune.search import Task
    from clconv.tuned import Key, Machine, Trial

_THERE = click.Path(exists=True, dir_okay=False, path_type=Path)
_WIDEST = 160
_DTYPES = click.Choice(["float32", "float16", "bfloat16", "float64"])


@click.command()
@layer_options
@click.option("--device", "names", multiple=True, metavar="NAME", help="Index, kind, part of a name, or 'all'; repeatable.")
@click.option("--pass", "passes", default="forward,backward_data,backward_weight", show_default=True, help="Which, with commas.")
@click.option("--dtype", type=_DTYPES, default="float32", show_default=True, help="Element type.")
@click.option("--deterministic", is_flag=True, help="For bit-identical gradients.")
@click.option("--top", default=4, show_default=True, type=click.IntRange(1), help="Candidates to try: the default and those after it.")
@click.option("--full", is_flag=True, help="Try all candidates.")
@click.option("--again", is_flag=True, help="Try again what was tried already.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds for a candidate, at most.")
@click.option("--show", is_flag=True, help="Show what was found: of the named devices, or of all.")
@click.option("--export", "export_file", type=FILE, help="Write what was tried there, for --import elsewhere.")
@click.option("--import", "import_file", type=_THERE, help="Take what was tried elsewhere.")
@click.option("--defaults", is_flag=True, help="Write what was found into the package, for devices of this kind.")
def tune(**options: Any) -> None:
    """Find the fastest variant and tile for layers, and remember them for all later calls.

    Candidates are tried in a process of their own: what is wrong, fails, hangs or takes the driver down costs only itself. Each is
    compared with the float64 reference before it is timed. What was tried is kept at once and isn't tried again, so that a run that
    was stopped goes on where it was. --show, --export, --import and --defaults alone try nothing.
    """
    from rich.console import Console

    from clconv.tune import exchange

    console, named = Console(), chosen_devices(options["names"]) if options["names"] else None
    if options["import_file"]:
        console.print(f"{exchange.take(options['import_file'])} trials are new", highlight=False)
    if _asked_to_search(options):
        _search(options, named or chosen_devices(()), console)
    if options["show"]:
        _show(_kept(named), console)
    if options["export_file"]:
        console.print(f"{exchange.export(options['export_file'], _kept(named))} trials in {options['export_file']}", highlight=False)
    if options["defaults"]:
        for file in exchange.write_defaults(named or chosen_devices(())):
            console.print(str(file), soft_wrap=True, highlight=False)


def _asked_to_search(options: dict[str, Any]) -> bool:
    layers = options["suite_names"] or options["layer_names"] or options["input_shape"] or options["weight_shape"]
    return bool(layers) or not any(options[name] for name in ("show", "export_file", "import_file", "defaults"))


def _kept(devices: Sequence[Device] | None) -> list[Trial]:
    """What was tried on devices; None is all."""
    from clconv import tuned

    trials = tuned.read(tuned.user_file())
    wanted = None if devices is None else {tuned.Machine.of(device) for device in devices}
    return [trial for trial in trials if wanted is None or trial.machine in wanted]


def _jobs(options: dict[str, Any]) -> list[Job]:
    from clconv.bench.call import Job
    from clconv.tuning import PASSES

    layers, passes = chosen_layers(options), listed(options["passes"], "--pass", PASSES)
    return [Job(layer, which, options["dtype"], deterministic=options["deterministic"]) for layer in layers for which in passes]


def _search(options: dict[str, Any], devices: Sequence[Device], console: Console) -> None:
    """Try what is to be tried, show what was found, and end the process if it was interrupted."""
    from rich.console import Console

    from clconv import tuned
    from clconv.tune.search import tasks

    jobs, top = _jobs(options), None if options["full"] else options["top"]
    planned = [task for device in devices for task in tasks(jobs, device, top, options["again"])]
    if not planned:
        raise click.UsageError(f"nothing to try: no variant can do {options['dtype']} on {', '.join(device.label for device in devices)}")
    finished = _tried(planned, options["timeout"], Console(stderr=True))
    asked = {(task.machine, task.key) for task in planned}
    _show([trial for trial in _kept(None) if (trial.machine, trial.key) in asked], console)
    console.print(f"kept in {tuned.user_file()}", soft_wrap=True, highlight=False)
    if not finished:
        console.print("interrupted: the same command goes on from here")
        raise SystemExit(130)


def _tried(planned: Sequence[Task], timeout: float, console: Console) -> bool:
    """Go through all candidates under a progress bar; False if that was interrupted."""
    from clconv import tuned
    from clconv.tune.process import Worker
    from clconv.tune.search import search

    best: dict[tuple[Machine, Key], Trial | None] = {}
    with _progress(console) as progress, Worker(timeout) as worker:
        bar = progress.add_task("", total=sum(len(task.choices) for task in planned), best="")
        try:
            for task, trial in search(planned, worker):
                key = (task.machine, task.key)
                best[key] = tuned.fastest(one for one in (best.get(key), trial) if one)
                progress.update(bar, advance=1, description=str(task), best=_line(best[key]))
        except KeyboardInterrupt:
            return False
    return True


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = (BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), *count, TextColumn("{task.fields[best]}"))
    return Progress(*columns, console=console, speed_estimate_period=600)


def _line(best: Trial | None) -> str:
    from clconv.bench.words import milliseconds

    return f"best {milliseconds(best.seconds)} ms: {best.choice}" if best and best.seconds else ""


def _show(trials: Sequence[Trial], console: Console) -> None:
    """A table for each machine, then what gave no time, and why."""
    from clconv.tune.findings import findings

    found = findings(trials)
    if not found:
        console.print("nothing was tried yet")
    for machine, own in groupby(found, key=lambda finding: finding.machine):
        _show_machine(machine, list(own), console)


def _show_machine(machine: Machine, own: Sequence[Finding], console: Console) -> None:
    from textwrap import shorten

    from rich.console import Console
    from rich.table import Table

    title = f"{machine.name} on {machine.platform}, driver {machine.driver}"
    table = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for name in ("layer", "pass", "fastest"):
        table.add_column(name, no_wrap=True)
    for name in ("ms", "x default", "tried", "bad"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("tile", no_wrap=True)
    for finding in own:
        table.add_row(*_cells(finding))
    Console(file=console.file, width=max(console.width, _WIDEST)).print(table)  # a tile that is cut off says nothing
    for trial in (trial for finding in own for trial in finding.bad):
        said = f"{trial.verdict}: {trial.layer} {trial.key.which} {trial.choice}: {shorten(trial.reason, 200, placeholder=' ...')}"
        console.print(said, style="red", markup=False, highlight=False)


def _cells(finding: Finding) -> tuple[str, ...]:
    from clconv.bench.words import digits, milliseconds

    key, best, gain = finding.key, finding.best, finding.gain
    unusual = (key.dtype if key.dtype != "float32" else None, key.precision, "deterministic" if key.deterministic else None)
    return (
        finding.layer, " ".join(word for word in (key.which, *unusual) if word), best.choice.variant if best else "none is right",
        milliseconds(best.seconds) if best and best.seconds else "", digits(gain) if gain else "",
        str(len(finding.trials)), str(len(finding.bad) or ""), best.choice.tile if best else "",
    )  # fmt: skip
