"""Which variant and tile does a pass: the first that suits the device, unless the caller names one."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from clconv import backward_data, backward_weight, forward
from clconv.errors import ProblemError, UnsupportedError
from clconv.schedule import Request, Schedule, Variant

if TYPE_CHECKING:
    from clconv.device import Device

PASSES: dict[str, tuple[Variant, ...]] = {
    "forward": forward.VARIANTS,
    "backward_data": backward_data.VARIANTS,
    "backward_weight": backward_weight.VARIANTS,
}

GRADIENTS = {"backward_data": backward_data.GRADIENTS, "backward_weight": backward_weight.GRADIENTS}
"""What each backward pass makes."""


def refusal(variant: Variant, request: Request, device: "Device") -> str | None:
    """Why a variant can't do the request on this device, as one sentence; None if it can."""
    if request.problem.accumulator == "float64" and not device.fp64:
        return "the device has no float64 (cl_khr_fp64)"
    return variant.refusal(request, device)


def choose(
    which: str, request: Request, device: "Device", name: str | None = None, trusted: Callable[[Variant], bool] = lambda variant: True
) -> Schedule:
    """The schedule of one pass ("forward", "backward_data" or "backward_weight").

    `trusted` is asked about variants in the order of preference, until it agrees to one; a variant that is named isn't asked about.

    Raises
    ------
    ProblemError
        There is no variant of that name.
    UnsupportedError
        No variant, or not the named one, can do it on this device: each is named with its reason.
    """
    request = replace(request, problem=request.problem.with_batch(max(1, request.problem.batch)))  # an empty batch launches nothing
    candidates = [variant for variant in PASSES[which] if name in (None, variant.name)]
    if not candidates:
        raise ProblemError(f"variants: {which} has {', '.join(variant.name for variant in PASSES[which])}, got {name!r}")
    reasons = {variant.name: refusal(variant, request, device) for variant in candidates}
    able = [variant for variant in candidates if reasons[variant.name] is None]
    if not able:
        raise UnsupportedError(f"{which} on {device.label}: " + "; ".join(f"{variant}: {reason}" for variant, reason in reasons.items()))
    ordered = sorted(able, key=lambda variant: not variant.suits(request, device))
    variant = next((variant for variant in ordered if name or trusted(variant)), ordered[-1])
    return variant.schedule(request, device, variant.tiles(request, device)[0])
