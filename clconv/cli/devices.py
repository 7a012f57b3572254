"""`clconv devices`: what there is to run on."""

import json
import platform
from dataclasses import fields
from typing import Any

import click

from clconv.device import INTEL_CPU, Device, resolve
from clconv.device import devices as all_devices
from clconv.problem import Problem
from clconv.schedule import Request
from clconv.selfcheck import switched_off
from clconv.tuning import GRADIENTS, PASSES, choose, refusal

TYPICAL: dict[str, Any] = {"input_shape": (1, 64, 64, 64), "weight_shape": (64, 64, 3, 3), "offset_groups": 1, "mask": True, "bias": True}
"""The layer for which variants are listed."""

_OFF = "gave wrong results there and is switched off"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of all that is known of each device.")
def devices(as_json: bool) -> None:
    """List the devices of all OpenCL drivers, and the variants that each gets for a typical layer.

    The marked one is the default: CLCONV_DEVICE or PYOPENCL_CTX if set, otherwise the best. The index or any part of a
    device's or platform's name chooses a device.
    """
    if as_json:
        click.echo(json.dumps([_facts(device) | {"variants": variants(device)} for device in all_devices()], indent=2))
    else:
        _print_table(all_devices(), resolve())
        _print_variants(all_devices())
        if said := advice(all_devices(), platform.machine()):
            click.echo(f"\n{said}")


def advice(present: list[Device], machine: str) -> str | None:
    """Which driver is the fastest for the CPU, where there is a choice or a better one; None where there is nothing to say."""
    platforms = {device.platform for device in present if device.kind == "cpu" and not device.simulator}
    if not platforms or machine.lower() not in ("x86_64", "amd64"):
        return None
    if INTEL_CPU not in platforms:
        return "The fastest driver for this CPU is Intel's runtime: pip install 'clconv[cpu]'."
    return f"The fastest of the CPU's drivers is {INTEL_CPU}, which is taken first." if len(platforms) > 1 else None


def variants(device: Device) -> dict[str, dict[str, str]]:
    """For each pass, what is said of each variant: "chosen", "possible", or why not."""
    problem = Problem.create(**TYPICAL, stride=1, padding=1, dilation=1, dtypes={"input": "float32"})
    return {which: _said(which, Request(problem, GRADIENTS.get(which, frozenset())), device) for which in PASSES}


def _said(which: str, request: Request, device: Device) -> dict[str, str]:
    said = {variant.name: refusal(variant, request, device) or "possible" for variant in PASSES[which]}
    off = {variant.name for variant in PASSES[which] if switched_off(which, variant, request.problem.dtype, device)}
    said |= dict.fromkeys(off, _OFF)
    if "possible" in said.values():
        said[choose(which, request, device, trusted=lambda variant: variant.name not in off).variant] = "chosen"
    return said


def _facts(device: Device) -> dict[str, Any]:
    return {field.name: getattr(device, field.name) for field in fields(device) if field.name != "handle"}


def _print_table(present: list[Device], default: Device) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "index"):
        table.add_column(name, no_wrap=True)
    for name in ("device", "platform", "kind"):
        table.add_column(name, overflow="fold")
    for name in ("units", "memory"):
        table.add_column(name, no_wrap=True, justify="right")
    for name in ("fp64", "fp16", "atomics"):
        table.add_column(name, no_wrap=True)
    for device in present:
        mark, style = ("*", "bold") if device == default else (" ", "")
        table.add_row(*(Text(cell) for cell in (mark, *_cells(device))), style=style)
    Console().print(table)


def _print_variants(present: list[Device]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("index", "pass", "chosen", "possible", "refused", box=None, header_style="bold", pad_edge=False)
    for device in present:
        for which, said in variants(device).items():
            named = [", ".join(name for name, word in said.items() if word == wanted) for wanted in ("chosen", "possible")]
            table.add_row(device.index, which, *named, _refused(said))
    Console().print("\nVariants for a 3x3 layer of 64 channels:")
    Console().print(table)


def _refused(said: dict[str, str]) -> str:
    """Each reason with the variants that it keeps away, first those that are wrong."""
    reasons = sorted({word: None for word in said.values() if word not in ("chosen", "possible")}, key=lambda word: word != _OFF)
    return "; ".join(f"{', '.join(name for name, word in said.items() if word == reason)}: {reason}" for reason in reasons)


def _cells(device: Device) -> list[str]:
    return [
        device.index,
        device.name,
        device.platform,
        f"{device.kind}, simulator" if device.simulator else device.kind,
        str(device.compute_units),
        f"{device.global_memory / 2**30:.1f} GiB",
        "yes" if device.fp64 else "no",
        "yes" if device.fp16 else "no",
        f"{device.atomic_float32}, {device.atomic_float64 or 'none'}",
    ]
