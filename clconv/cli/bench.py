"""`clconv bench`: how fast layers are on a device, and beside other systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from clconv.cli.options import (
    FILE,
    check_folder,
    check_plot,
    chosen_devices,
    chosen_layers,
    chosen_limits,
    layer_options,
    listed,
    measuring_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from clconv.bench.peers.peer import Peer
    from clconv.bench.record import Report, Row
    from clconv.bench.run import Measurement, Settings
    from clconv.device import Device


@click.command()
@layer_options
@click.option("--list", "show_list", is_flag=True, help="Show the suites with their layers, and stop.")
@click.option("--device", "names", multiple=True, metavar="NAME", help="Index, kind, part of a name, or 'all'; repeatable.")
@click.option("--pass", "passes", default="forward,backward", show_default=True, help="Also backward_data, backward_weight.")
@click.option("--dtype", "dtypes", default="float32", show_default=True, help="Also float16, bfloat16, float64; several with commas.")
@click.option("--precision", type=click.Choice(["tf32"]), help="Allow float32 products to be rounded.")
@click.option("--deterministic", is_flag=True, help="Bit-identical gradients.")
@click.option("--fixed-weight", is_flag=True, help="Give the weight once (Plan.set_weight), as inference engines have it.")
@click.option("--variant", "variants", default="", help="Names with commas, or 'all' side by side; else the library's choice.")
@click.option("--offsets", default="random", show_default=True, help="zero, small, random, real, one; several with commas.")
@measuring_options
@click.option("--first-call/--no-first-call", default=True, show_default=True, help="Also time first calls, in processes of their own.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the data.")
@click.option("--against", default="", help="torchvision, onnxruntime, openvino, onednn-conv, cudnn-conv; several with commas.")
@click.option("--json", "json_file", type=FILE, help="Write everything there, after each row.")
@click.option("--resume", is_flag=True, help="Go on with what the report of --json lacks.")
@click.option("--csv", "csv_file", type=FILE, help="Write a table there.")
@click.option("--markdown", "markdown_file", type=FILE, help="Write a table there.")
@click.option("--plot", "plot_file", type=FILE, help="Draw speed-ups there (.png or .svg), and the roofline beside it (FILE-roofline).")
def bench(**options: Any) -> None:
    """Measure layers on devices, forward and backward, alone or beside other systems.

    Each result is compared with the float64 reference before it is timed; a wrong one is shown as WRONG. Ctrl-C keeps what has been
    measured, and exits with 130. Exits with 1 if a row is wrong or failed.
    """
    from rich.console import Console

    from clconv.bench.table import show, show_suites

    console = Console()
    if options["show_list"]:
        show_suites(console)
        return
    _check_files(options)
    settings = _settings(options)
    report, interrupted = _measured(settings, chosen_devices(options["names"]), options, Console(stderr=True))
    show(report, console)
    _write(report, options)
    if interrupted:
        raise SystemExit(130)
    if any(row.verdict in ("wrong", "failed") for row in report.rows):
        raise SystemExit(1)


def _check_files(options: dict[str, Any]) -> None:
    """Before anything is measured: everything can be written."""
    for name in ("json", "csv", "markdown"):
        if file := options[f"{name}_file"]:
            check_folder(file, f"--{name}")
    if options["plot_file"]:
        check_plot(options["plot_file"])


def _settings(options: dict[str, Any]) -> Settings:
    from clconv.bench.call import NEEDS
    from clconv.bench.layers import OFFSETS
    from clconv.bench.run import Settings
    from clconv.problem import DTYPES
    from clconv.tuning import PASSES

    known = (variant.name for variants in PASSES.values() for variant in variants)
    return Settings(
        layers=chosen_layers(options),
        passes=listed(options["passes"], "--pass", NEEDS),
        dtypes=listed(options["dtypes"], "--dtype", DTYPES),
        precision=options["precision"] or "",
        deterministic=options["deterministic"],
        fixed_weight=options["fixed_weight"],
        variants=listed(options["variants"], "--variant", ("all", *dict.fromkeys(known)), least=0) or ("",),
        offsets=listed(options["offsets"], "--offsets", OFFSETS),
        limits=chosen_limits(options),
        first=options["first_call"],
        seed=options["seed"],
    )


def _peers(names: tuple[str, ...], console: Console) -> list[Peer]:
    """The systems that are installed; the others are named with what installs them."""
    from clconv.bench.peers import PEERS

    found = []
    for name in names:
        peer = PEERS[name]()
        try:
            peer.version()
            found.append(peer)
        except ImportError as error:
            console.print(f"{name} is left out, for it isn't installed ({error}): {peer.install}", highlight=False)
    return found


def _started(settings: Settings, devices: Sequence[Device], peers: Sequence[Peer], options: dict[str, Any]) -> Report:
    from clconv.bench.record import Report
    from clconv.bench.session import resumed, started

    told = {name: value for name, value in options.items() if value not in (None, (), "", False) and not name.endswith("_file")}
    report = started(settings, devices, peers, told)
    file = options["json_file"]
    return resumed(report, Report.read(file)) if options["resume"] and file and file.exists() else report


def _measured(settings: Settings, devices: Sequence[Device], options: dict[str, Any], console: Console) -> tuple[Report, bool]:
    """Measure row after row; whether an interrupt ended it, and what is there is kept."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from clconv.bench.peers import PEERS
    from clconv.bench.run import measurements
    from clconv.bench.session import measured

    peers = _peers(listed(options["against"], "--against", PEERS, least=0), console)
    report = _started(settings, devices, peers, options)
    have = {row.key for row in report.rows}
    planned = [measurement for measurement in measurements(settings, devices, peers) if measurement.key not in have]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(_what(planned[:1]), total=len(planned))
        try:
            for number, (now, row) in enumerate(measured(report, planned, settings, options["json_file"]), 1):
                report = now
                progress.console.print(_line(row), highlight=False, markup=False)
                progress.update(task, advance=1, description=_what(planned[number : number + 1]))
        except KeyboardInterrupt:
            progress.console.print(f"interrupted: {len(report.rows)} rows are kept")
            return report, True
    return report, False


def _what(planned: Sequence[Measurement]) -> str:
    return " ".join((planned[0].key.layer, planned[0].key.which, planned[0].key.system)) if planned else "done"


def _line(row: Row) -> str:
    """A finished row in a few words."""
    key = row.key
    done = f"{1e3 * row.seconds:.3f} ms" if row.seconds is not None else f"{row.verdict.upper()}: {row.reason.splitlines()[0]}"
    return f"{key.layer} {key.which} {key.dtype} {key.system} {key.variant}".rstrip() + f" on {key.device}: {done}"


def _write(report: Report, options: dict[str, Any]) -> None:
    from clconv.bench.table import as_csv, as_markdown

    if options["csv_file"]:
        options["csv_file"].write_text(as_csv(report), encoding="utf-8")
    if options["markdown_file"]:
        options["markdown_file"].write_text(as_markdown(report), encoding="utf-8")
    if file := options["plot_file"]:
        from clconv.bench.plots import roofline_figure, save, speed_up_figure

        save(speed_up_figure(report), file)
        save(roofline_figure(report), file.with_name(f"{file.stem}-roofline{file.suffix}"))
