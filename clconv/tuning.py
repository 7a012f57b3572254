"""Which variant and tile does a pass: what the caller names, or what was measured to be fastest, or the first that suits the device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

from clconv import backward_data, backward_weight, forward, tuned
from clconv.errors import ProblemError, UnsupportedError
from clconv.schedule import Request, Schedule, Tile, Variant
from clconv.tuned import Choice

if TYPE_CHECKING:
    from clconv.device import Device

PASSES: dict[str, tuple[Variant, ...]] = {
    "forward": forward.VARIANTS,
    "backward_data": backward_data.VARIANTS,
    "backward_weight": backward_weight.VARIANTS,
}

GRADIENTS = {"backward_data": backward_data.GRADIENTS, "backward_weight": backward_weight.GRADIENTS}
"""What each backward pass makes."""

_forced: ContextVar[tuple[str, Choice] | None] = ContextVar("_forced", default=None)


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
    request = _launched(request)
    if (forced := _forced.get()) and forced[0] == which:
        return _exactly(forced[1], which, request, device)
    variants = _preferred(which, request, device, name)
    agreed = (lambda variant: True) if name else trusted
    for choice in tuned.known(which, request, device):
        if (legal := _legal(choice, variants, request, device)) and agreed(legal[0]):
            return legal[0].schedule(request, device, legal[1])
    reasons = {variant.name: refusal(variant, request, device) for variant in variants}
    able = [variant for variant in variants if reasons[variant.name] is None]
    if not able:
        raise UnsupportedError(f"{which} on {device.label}: " + "; ".join(f"{variant}: {reason}" for variant, reason in reasons.items()))
    variant = next((variant for variant in able if agreed(variant)), able[-1])
    return variant.schedule(request, device, variant.tiles(request, device)[0])


def _launched(request: Request) -> Request:
    """An empty batch launches nothing: its plan is that of one image."""
    return replace(request, problem=request.problem.with_batch(max(1, request.problem.batch)))


def _preferred(which: str, request: Request, device: "Device", name: str | None = None) -> list[Variant]:
    """All variants, or the named one; those that suit the device first."""
    variants = [variant for variant in PASSES[which] if name in (None, variant.name)]
    if not variants:
        raise ProblemError(f"variants: {which} has {', '.join(variant.name for variant in PASSES[which])}, got {name!r}")
    return sorted(variants, key=lambda variant: not variant.suits(request, device))


def _legal(choice: Choice, variants: Sequence[Variant], request: Request, device: "Device") -> tuple[Variant, Tile] | None:
    """The variant and tile that a choice means, None where they aren't among these or not legal."""
    variant = next((variant for variant in variants if variant.name == choice.variant), None)
    if variant is None or refusal(variant, request, device) is not None:
        return None
    return next(((variant, tile) for tile in variant.tiles(request, device) if str(tile) == choice.tile), None)


def candidates(which: str, request: Request, device: "Device") -> Iterator[tuple[Variant, Tile]]:
    """Every legal tile of every variant that can do the request: first what is chosen where nothing was measured."""
    request = _launched(request)
    for variant in _preferred(which, request, device):
        if refusal(variant, request, device) is None:
            yield from ((variant, tile) for tile in variant.tiles(request, device))


@contextmanager
def forced(which: str, choice: Choice) -> Iterator[None]:
    """Inside, in this thread, a pass gets exactly this choice, or an UnsupportedError where it isn't legal: for who measures it."""
    token = _forced.set((which, choice))
    try:
        yield
    finally:
        _forced.reset(token)


def _exactly(choice: Choice, which: str, request: Request, device: "Device") -> Schedule:
    legal = _legal(choice, PASSES[which], request, device)
    if legal is None:
        raise UnsupportedError(f"{which} on {device.label}: {choice} is not legal for this problem")
    return legal[0].schedule(request, device, legal[1])
