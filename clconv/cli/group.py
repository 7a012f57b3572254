"""The group of all commands, and how an error of this library ends one."""

import sys
import warnings

import click
from rich.console import Console

import clconv
from clconv.cli import cache, check, demo, devices, source
from clconv.errors import ClconvError


@click.group("clconv", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clconv.__version__, prog_name="clconv")
def group() -> None:
    """Deformable convolution on any OpenCL device."""


for _command in (demo.command, devices.command, check.command, source.command, cache.group):
    group.add_command(_command)


def run() -> None:
    """Run the command line; an error of this library is one line, without a traceback."""
    warnings.simplefilter("default", clconv.selfcheck.VariantWarning)
    try:
        group()
    except ClconvError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
