"""`clconv source`: the rendered kernels of a problem, for reading."""

import click
from rich.console import Console
from rich.syntax import Syntax

from clconv.cli.options import shape
from clconv.device import resolve
from clconv.problem import DTYPES, Problem
from clconv.schedule import Launch, Request
from clconv.source import render
from clconv.tuning import GRADIENTS, PASSES, choose


@click.command()
@click.argument("which", metavar="PASS", type=click.Choice(list(PASSES)))
@click.option("--input", "input_shape", required=True, metavar="N,C,H,W", help="Shape of the input.")
@click.option("--weight", "weight_shape", required=True, metavar="O,I,KH,KW", help="Shape of the weight; I = C / groups.")
@click.option("--offset-groups", type=click.IntRange(0), default=1, show_default=True, help="0 is an ordinary convolution.")
@click.option("--mask/--no-mask", default=True, show_default=True, help="v2 or v1.")
@click.option("--bias/--no-bias", default=False, show_default=True, help="Whether outputs have a bias.")
@click.option("--stride", type=int, default=1, show_default=True, help="In both directions.")
@click.option("--padding", type=int, default=0, show_default=True, help="In pixels, on all sides.")
@click.option("--dilation", type=int, default=1, show_default=True, help="In both directions.")
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", show_default=True, help="Element type.")
@click.option("--convention", default="torchvision", show_default=True, help="Whose rules hold at the border.")
@click.option("--deterministic", is_flag=True, help="Bit-identical gradients.")
@click.option("--variant", help="Instead of the one that is chosen for the device.")
@click.option("--device", help="Device: index, kind or part of a name.")
def source(
    which: str, input_shape: str, weight_shape: str, offset_groups: int, mask: bool, bias: bool, stride: int, padding: int, dilation: int,
    dtype: str, convention: str, deterministic: bool, variant: str | None, device: str | None,
) -> None:  # fmt: skip
    """Print the kernels that PASS launches for a problem, in their order, with the chosen variant and tile."""
    problem = Problem.create(
        shape(input_shape, "--input"), shape(weight_shape, "--weight"), offset_groups=offset_groups or None,
        mask=mask and offset_groups > 0, bias=bias, stride=stride, padding=padding, dilation=dilation,
        dtypes={"input": dtype}, convention=convention,
    )  # fmt: skip
    needs = GRADIENTS.get(which, frozenset()) & frozenset(problem.operands())
    schedule = choose(which, Request(problem, needs, deterministic), resolve(device), variant)
    console = Console()
    for step in schedule.in_order():
        if isinstance(step, Launch):
            head = f"/* {which}: variant {schedule.variant}, tile {schedule.tile}; global {step.global_size}, local {step.local_size} */\n"
            text = head + render(step.kernel)
            if console.is_terminal:
                console.print(Syntax(text, "c", word_wrap=True))
            else:
                click.echo(text)
