"""Options that several commands share: which layers, which devices, how patiently to measure."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clconv.device import Device, devices, resolve

if TYPE_CHECKING:
    from clconv.bench.layers import Layer
    from clconv.bench.timing import Limits

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


class Number(click.FloatRange):
    """A number of a range, which NaN and infinity aren't in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a sentence."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value}", param, ctx)
        return number


def listed(text: str, option: str, known: Iterable[str], least: int = 1) -> tuple[str, ...]:
    """Names separated by commas, at least so many, each of which must be known."""
    known = tuple(known)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) < least:
        raise click.BadParameter(f"expected some of {', '.join(known)}, got {text!r}", param_hint=option)
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"{', '.join(unknown)}: expected some of {', '.join(known)}", param_hint=option)
    return names


def shape(text: str, option: str) -> tuple[int, ...]:
    """Integers separated by commas."""
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise click.BadParameter(f"expected integers separated by commas, got {text!r}", param_hint=option) from None


def together(options: Sequence[Decorator]) -> Decorator:
    """Several decorators as one, in the order of the list."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


layer_options = together(
    [
        click.option("--suite", "suite_names", multiple=True, metavar="NAME", help="Layers of a suite; repeatable. Default: quick."),
        click.option("--layer", "layer_names", multiple=True, metavar="NAME", help="A layer of any suite; repeatable."),
        click.option("--input", "input_shape", metavar="N,C,H,W", help="A layer by its input's shape, with --weight."),
        click.option("--weight", "weight_shape", metavar="O,I,KH,KW", help="Shape of its weight; I = C / groups."),
        click.option("--offset-groups", default=1, show_default=True, help="Of that layer; 0 is an ordinary convolution."),
        click.option("--mask/--no-mask", default=True, show_default=True, help="Whether that layer has a mask."),
        click.option("--bias/--no-bias", default=True, show_default=True, help="Whether it has a bias."),
        click.option("--stride", default=1, show_default=True, help="Of that layer, in both directions."),
        click.option("--padding", default=0, show_default=True, help="Of that layer, in pixels, on all sides."),
        click.option("--dilation", default=1, show_default=True, help="Of that layer, in both directions."),
    ]
)
"""Which layers: read them with `chosen_layers`."""

measuring_options = together(
    [
        click.option("--warmup", default=3, show_default=True, type=click.IntRange(1), help="Runs before measuring."),
        click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Runs to measure, at least."),
        click.option("--seconds", default=0.5, show_default=True, type=Number(0), help="Seconds to measure, at least."),
        click.option("--timeout", default=10.0, show_default=True, type=Number(0), help="Seconds for a row's times, at most."),
    ]
)
"""How patiently: read them with `chosen_limits`."""


def chosen_layers(options: dict[str, Any]) -> tuple["Layer", ...]:
    """The layers that the command line names, each once."""
    from clconv.bench.layers import layers, suite

    found = [layer for name in options["suite_names"] for layer in suite(name)]
    found += [layers()[name] for name in listed(",".join(options["layer_names"]), "--layer", layers(), least=0)]
    if options["input_shape"] or options["weight_shape"]:
        found.append(_by_options(options))
    return tuple(dict.fromkeys(found or suite("quick")))


def _by_options(options: dict[str, Any]) -> "Layer":
    from clconv.bench.layers import Layer

    if not (options["input_shape"] and options["weight_shape"]):
        raise click.UsageError("--input and --weight come together")
    input_, weight = shape(options["input_shape"], "--input"), shape(options["weight_shape"], "--weight")
    if 0 in (*input_, *weight):
        raise click.BadParameter(f"expected sizes of at least 1 to measure, got {input_} and {weight}", param_hint="--input, --weight")
    given = {name: options[name] for name in ("stride", "padding", "dilation", "mask", "bias")}
    groups = options["offset_groups"] or None
    if groups is None:
        given["mask"] = False
    name = "-".join(["x".join(map(str, input_)), "x".join(map(str, weight)), *_unusual({**given, "offset_groups": groups or 0})])
    layer = Layer(name, input_, weight, offset_groups=groups, source="command line", **given)  # type: ignore[arg-type]  # checked next
    layer.problem()
    return layer


def _unusual(given: dict[str, Any]) -> Iterator[str]:
    """What isn't as by default, for a name that means one layer everywhere."""
    for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1), ("offset_groups", 1)):
        if given[name] != usual:
            yield f"{name.replace('_', '-')}-{given[name]}"
    yield from (f"no-{name}" for name in ("mask", "bias") if not given[name])


def chosen_limits(options: dict[str, Any]) -> "Limits":
    """The limits of measuring."""
    from clconv.bench.timing import Limits

    return Limits(options["warmup"], options["runs"], options["seconds"], options["timeout"])


def chosen_devices(names: tuple[str, ...]) -> list[Device]:
    """The devices of --device: 'all' is every one but simulators, nothing the best one."""
    if "all" in names:
        return [device for device in devices() if not device.simulator]
    return list(dict.fromkeys(resolve(name) for name in names or (None,)))


def check_plot(plot: Path) -> None:
    """Before anything is computed: matplotlib is there, and the plot can be written."""
    from clconv.bench.plots import FORMATS

    if plot.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"expected a name that ends in {' or '.join(FORMATS)}, got {plot.name}", param_hint="--plot")
    check_folder(plot, "--plot")


def check_folder(file: Path, option: str) -> None:
    """Before anything is computed: the file's folder is there, and takes files."""
    if not file.parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}", param_hint=option)
    if file.is_dir():
        raise click.BadParameter(f"expected a file, got the folder {file}", param_hint=option)
    if not os.access(file.parent, os.W_OK):
        raise click.BadParameter(f"the folder {file.parent} can't be written", param_hint=option)
