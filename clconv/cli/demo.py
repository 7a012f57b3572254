"""`clconv demo`: the library's main job on a real photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clconv.cli.options import check_folder
from clconv.device import Device, resolve

if TYPE_CHECKING:
    from rich.console import Console

    from clconv.demo.experiment import Result


@click.command()
@click.option("--device", metavar="NAME", help="Index, kind or part of the name of the device; see `clconv devices`.")
@click.option(
    "--output", metavar="PNG", default="clconv-demo.png", show_default=True, type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Picture to write.",
)  # fmt: skip
@click.option("--size", default=256, show_default=True, type=click.IntRange(min=64), help="Side of the photograph in pixels.")
@click.option("--steps", default=160, show_default=True, type=click.IntRange(min=1), help="Steps of learning.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the warp.")
def demo(device: str | None, output: Path, size: int, steps: int, seed: int) -> None:
    """Learn to undo the warp of a photograph, and draw it.

    A deformable convolution is given a warped photograph and learns, by gradients from its backward pass, where each output
    pixel must look to give the photograph back.
    """
    check_folder(output, "--output")
    from rich.console import Console

    from clconv.demo.figure import draw

    console = Console(highlight=False)
    result = _learn(console, size, steps, seed, resolve(device))
    draw(result, output)
    _report(console, result, output)


def _learn(console: Console, size: int, steps: int, seed: int, device: Device) -> Result:
    """Run the experiment under a progress bar that shows the error falling."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from clconv.demo.alignment import Step
    from clconv.demo.experiment import run

    state = TextColumn("{task.fields[state]}")
    with Progress(TextColumn("learning"), BarColumn(), MofNCompleteColumn(), state, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("learning", total=steps, state="compiling")

        def show(step: Step) -> None:
            state = f"error {step.error:.5f}  PSNR {step.psnr:4.1f} dB  at {step.height} px"
            progress.update(bar, completed=step.number, state=state)

        return run(size, steps, seed, device, show)


def _report(console: Console, result: Result, output: Path) -> None:
    from rich.markup import escape
    from rich.table import Table

    (dull, sharp), (lost, found) = result.psnr, result.end_point_error
    table = Table.grid(padding=(0, 2))
    table.add_row("device", escape(result.device.label))
    table.add_row("learning", f"{result.alignment.steps[-1].number} steps in {result.seconds:.1f} s")
    table.add_row("PSNR", f"{dull:.1f} dB before, [bold]{sharp:.1f} dB[/bold] after")
    table.add_row("end-point error", f"{lost:.2f} pixels before, [bold]{found:.2f}[/bold] after")
    table.add_row("picture", escape(str(output)))
    console.print(table)
