"""The group of all commands, and how they report the library's errors."""

from errno import EPIPE
from typing import IO, Any

import click

from clconv import ClconvError, __version__
from clconv.cli import what_to_install
from clconv.cli.bench import bench
from clconv.cli.cache import cache
from clconv.cli.check import check
from clconv.cli.compare import compare
from clconv.cli.demo import demo
from clconv.cli.devices import devices
from clconv.cli.source import source
from clconv.cli.tune import tune


class _Failure(click.ClickException):
    """An error that is no mistake of the command line: one red line on standard error, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.secho(self.format_message(), file=file, fg="red", err=True)


class _Group(click.Group):
    """Commands whose errors are sentences: those of the library, and of extras that are missing."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClconvError as error:
            raise _Failure(str(error)) from error
        except ModuleNotFoundError as error:
            sentence = what_to_install(error, ctx.invoked_subcommand)
            if sentence is None:
                raise
            raise _Failure(sentence) from error
        except OSError as error:
            if error.errno == EPIPE:  # who reads has enough: click ends quietly
                raise
            raise _Failure(f"{error.filename or 'output'}: {error.strerror}" if error.strerror else str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clconv")
def commands() -> None:
    """Deformable and ordinary convolution, forward and backward, on any OpenCL device."""


for _command in (demo, devices, check, bench, source, cache, compare, tune):
    commands.add_command(_command)
