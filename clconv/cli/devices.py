"""`clconv devices`: every device of every driver, and which variants it gets."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from clconv.check.report import describe
from clconv.device import Device, devices, resolve
from clconv.errors import ClconvError
from clconv.problem import Problem
from clconv.schedule import Request
from clconv.tuning import GRADIENTS, PASSES, choose, refusal

TYPICAL = {"input_shape": (1, 64, 64, 64), "weight_shape": (64, 64, 3, 3), "offset_groups": 1, "mask": True, "bias": True}
"""The layer for which the variants are listed."""


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known of each device as a JSON list.")
def command(as_json: bool) -> None:
    """List the OpenCL devices, which one is taken by default, and the variants that each gets for a typical layer."""
    default = _default()
    found = devices()
    if as_json:
        click.echo(
            json.dumps([describe(device) | {"default": device == default, "variants": variants(device)} for device in found], indent=1)
        )
        return
    console = Console()
    console.print(_table(found, default))
    console.print(_variant_table(found))


def variants(device: Device) -> dict[str, dict[str, str]]:
    """For each pass, what is said of each variant: "chosen", "possible", or why not."""
    problem = Problem.create(**TYPICAL, stride=1, padding=1, dilation=1, dtypes={"input": "float32"})
    said: dict[str, dict[str, str]] = {}
    for which, candidates in PASSES.items():
        request = Request(problem, GRADIENTS.get(which, frozenset()))
        chosen = choose(which, request, device).variant
        said[which] = {
            variant.name: "chosen" if variant.name == chosen else refusal(variant, request, device) or "possible" for variant in candidates
        }
    return said


def _default() -> Device | None:
    """The device that a call without device= takes; None where the environment asks for one that isn't there."""
    try:
        return resolve()
    except ClconvError:
        return None


def _table(found: list[Device], default: Device | None) -> Table:
    table = Table(
        "", "index", "device", "platform", "driver", "kind", "units", "memory", "fp64", "fp16", "float atomics", title="OpenCL devices"
    )
    for device in found:
        memory = f"{device.global_memory / 2**30:.1f} GiB"
        row: list[Any] = ["*" if device == default else "", device.index, device.name, device.platform, device.driver]
        row += [device.kind + (" (simulator)" if device.simulator else ""), str(device.compute_units), memory]
        table.add_row(*row, _yes(device.fp64), _yes(device.fp16), device.atomic_float32)
    table.caption = "* is taken by default; device= and --device take an index, a kind or a part of a name"
    return table


def _variant_table(found: list[Device]) -> Table:
    table = Table("index", "pass", "chosen", "possible", "refused", title="Variants for a 3x3 layer of 64 channels")
    for device in found:
        for which, said in variants(device).items():
            refused = [f"{name}: {reason}" for name, reason in said.items() if reason not in ("chosen", "possible")]
            names = {word: ", ".join(name for name, reason in said.items() if reason == word) for word in ("chosen", "possible")}
            table.add_row(device.index, which, names["chosen"], names["possible"], "; ".join(refused))
    return table


def _yes(value: bool) -> str:
    return "yes" if value else "no"
