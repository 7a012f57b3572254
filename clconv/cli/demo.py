"""`clconv demo`: learn the offsets that undo a warp, and draw what happened."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clconv.device import resolve


@click.command("demo")
@click.option("--device", metavar="NAME", help="Device: index, kind or part of a name; by default the best.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("clconv-demo.png"), show_default=True, help="Picture."
)
@click.option("--size", type=click.IntRange(64), default=256, show_default=True, help="Side of the photograph in pixels.")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True, help="Steps of learning.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the warp.")
def command(device: str | None, output: Path, size: int, steps: int, seed: int) -> None:
    """Warp a photograph, learn the offsets of a deformable convolution that undo the warp, and draw what happened."""
    try:
        from clconv.demo.experiment import run
        from clconv.demo.figure import draw
    except ModuleNotFoundError as error:
        sys.exit(f"the demo needs {error.name}: pip install 'clconv[demo]'")
    chosen, console = resolve(device), Console()
    console.print(f"device: {chosen.label}", highlight=False)
    columns = (
        TextColumn("learning"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("learning", total=steps, state="")
        result = run(size, steps, seed, chosen, lambda step: progress.update(
            task, completed=step.number, state=f"error {step.error:.6f}, PSNR {step.psnr:.1f} dB"))  # fmt: skip
        progress.update(task, completed=steps)
    draw(result, output)
    (before, after), (lost, found) = result.psnr, result.end_point_error
    console.print(f"{len(result.alignment.steps) - 1} steps in {result.seconds:.1f} s, seed {seed}", highlight=False)
    console.print(f"PSNR: {before:.1f} dB warped, {after:.1f} dB recovered", highlight=False)
    console.print(f"mean distance from the true place: {lost:.2f} pixels before, {found:.2f} after", highlight=False)
    console.print(f"picture: {output.resolve()}", highlight=False, soft_wrap=True)
