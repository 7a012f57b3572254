"""The schedules of one problem on one device."""

import logging
from collections.abc import Mapping, Set
from functools import partial

from clconv import selfcheck, tuning
from clconv.device import Device
from clconv.errors import ProblemError
from clconv.kept import going_ahead, reads, relieved
from clconv.problem import Problem
from clconv.schedule import KEPT, Request, Schedule, Variant, together

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
        self._passes: dict[tuple[str, frozenset[str], frozenset[str]], Schedule] = {}
        self._forwards: dict[bool, Schedule] = {}
        self._backwards: dict[tuple[frozenset[str], bool], Schedule] = {}

    def of(self, which: str, needs: frozenset[str] = frozenset(), kept: frozenset[str] = frozenset()) -> Schedule:
        """One pass; `kept` as in `Request`."""
        key = (which, needs, kept)
        if key not in self._passes:
            request = Request(self._problem, needs, self._deterministic, kept)
            schedule = tuning.choose(which, request, self._device, self._variants.get(which), partial(self._trusts, which))
            chosen = (which, self._device.label, schedule.variant, schedule.tile, schedule.workspace_bytes)
            log.info("%s on %s: %s (%s), %d bytes of workspace", *chosen)
            self._passes[key] = schedule
        return self._passes[key]

    def _trusts(self, which: str, variant: Variant) -> bool:
        return selfcheck.trusted(which, variant, self._problem.dtype, self._device)

    def forward(self, keep: bool = False) -> Schedule:
        """A forward; one that keeps leaves samples and plans, too, if it can and a backward reads them."""
        if keep not in self._forwards:
            kept = frozenset(name for name in KEPT if keep and self._may_leave(name))
            forward = self.of("forward", kept=kept)
            self._forwards[keep] = going_ahead(forward, self._whole(kept)) if keep else forward
        return self._forwards[keep]

    def _may_leave(self, name: str) -> bool:
        """Whether a backward reads what a forward can leave."""
        kept = frozenset({name})
        wanted = any(reads(schedule, name) for schedule in self._backward(frozenset(self._problem.operands()), kept))
        return wanted and name in self.of("forward", kept=kept).temporaries

    def backward(self, needs: frozenset[str], keep: bool = False) -> Schedule:
        """Both backward passes, as far as they are needed."""
        if (needs, keep) not in self._backwards:
            forward = self.forward(keep)
            whole = together(self._backward(needs, forward.temporaries.keys() & frozenset(KEPT)))
            self._backwards[needs, keep] = relieved(whole, forward) if keep else whole
        return self._backwards[needs, keep]

    def _whole(self, kept: Set[str]) -> Schedule:
        return together(self._backward(frozenset(self._problem.operands()), kept))

    def _backward(self, needs: frozenset[str], kept: Set[str]) -> list[Schedule]:
        return [self.of(which, needs & gradients, frozenset(kept)) for which, gradients in tuning.GRADIENTS.items() if needs & gradients]
