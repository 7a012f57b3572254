"""The schedules of one problem on one device."""

import logging
from collections.abc import Mapping
from functools import partial

from clconv import selfcheck, tuning
from clconv.device import Device
from clconv.errors import ProblemError
from clconv.kept import reads_plans, relieved
from clconv.problem import Problem
from clconv.schedule import KEPT_PLANS, Request, Schedule, Variant, together

log = logging.getLogger("clconv")


class Schedules:
    """They are chosen when they are first asked for; after that, the same question has the same object for an answer.

    With `keep`, a forward leaves what a backward reads, and a backward is one that follows it.
    """

    def __init__(self, problem: Problem, deterministic: bool, device: Device, variants: Mapping[str, str]) -> None:
        if not isinstance(variants, Mapping):
            raise ProblemError(f"variants: expected a mapping from passes to names of variants, got {variants!r}")
        if unknown := set(variants) - set(tuning.PASSES):
            raise ProblemError(f"variants: expected names out of {', '.join(tuning.PASSES)}, got {', '.join(sorted(map(repr, unknown)))}")
        self._problem = problem
        self._deterministic = deterministic
        self._device = device
        self._variants = dict(variants)
        self._passes: dict[tuple[str, frozenset[str], bool], Schedule] = {}
        self._calls: dict[tuple[str, frozenset[str], bool], Schedule] = {}

    def of(self, which: str, needs: frozenset[str] = frozenset(), planned: bool = False) -> Schedule:
        """One pass; `planned` as in `Request`."""
        key = (which, needs, planned)
        if key not in self._passes:
            request = Request(self._problem, needs, self._deterministic, planned)
            schedule = tuning.choose(which, request, self._device, self._variants.get(which), partial(self._trusts, which))
            chosen = (which, self._device.label, schedule.variant, schedule.tile, schedule.workspace_bytes)
            log.info("%s on %s: %s (%s), %d bytes of workspace", *chosen)
            self._passes[key] = schedule
        return self._passes[key]

    def _trusts(self, which: str, variant: Variant) -> bool:
        return selfcheck.trusted(which, variant, self._problem.dtype, self._device)

    def forward(self, keep: bool = False) -> Schedule:
        """A forward; one that keeps leaves plans, too, if it can and a backward reads them."""
        key = ("forward", frozenset[str](), keep)
        if key not in self._calls:
            wanted = keep and any(map(reads_plans, self._backward(frozenset(self._problem.operands()), planned=True)))
            self._calls[key] = self.of("forward", planned=wanted)
        return self._calls[key]

    def backward(self, needs: frozenset[str], keep: bool = False) -> Schedule:
        """Both backward passes, as far as they are needed."""
        key = ("backward", needs, keep)
        if key not in self._calls:
            forward = self.forward(keep)
            whole = together(self._backward(needs, planned=KEPT_PLANS in forward.temporaries))
            self._calls[key] = relieved(whole, forward) if keep else whole
        return self._calls[key]

    def _backward(self, needs: frozenset[str], planned: bool) -> list[Schedule]:
        return [self.of(which, needs & gradients, planned) for which, gradients in tuning.GRADIENTS.items() if needs & gradients]
