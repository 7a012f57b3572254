"""One variant of one pass, on one device and case, against the float64 reference: what `clconv check`, the self-check and the tests do."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from clconv import nvidia, reference, units
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME, Case
from clconv.check.closeness import account
from clconv.device import Device
from clconv.errors import ClconvError
from clconv.plan import Plan
from clconv.problem import OPERANDS
from clconv.schedule import Request, Variant
from clconv.tuned import Choice
from clconv.tuning import GRADIENTS, PASSES, forced, refusal

_UNITS = (*nvidia.UNITS, *units.UNITS)
"""Variants that take factors in halves."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: a variant on a case, with the types of data and of offset and mask.

    Of a backward pass that follows a forward that keeps, by the variant `kept`, this one's output is checked too.
    """

    which: str
    variant: Variant
    case: Case
    dtype: str = "float32"
    small: str = "float32"
    deterministic: bool = False
    precision: str | None = None
    tile: str | None = None
    kept: Variant | None = None

    @classmethod
    def typical(cls, which: str, variant: Variant, dtype: str) -> "tuple[Subject, ...]":
        """What says most about a variant in little time: a few channels, and many, with several offset groups and with one."""
        return tuple(cls(which, variant, BY_NAME[name], dtype, dtype) for name in ("plain", "deep", "deep-v1"))

    @classmethod
    def widest(cls, which: str, variant: Variant, dtype: str, device: Device) -> "Iterator[Subject]":
        """The forward pass with its tile of the most outputs, which no small problem chooses by itself, and with the most partial sums.

        With rounded factors too. The input's gradient by NVIDIA's units where one work-group has all taps, where the most share them, and
        by the most teams.
        """
        if not (which == "forward" or (which == "backward_data" and variant.name in nvidia.UNITS)):
            return
        for precision in (None, "tf32") if dtype == "float32" and variant.name in _UNITS else (None,):
            for case in ("wide",) if which == "forward" else ("wide", "many-channels"):
                subject = cls(which, variant, BY_NAME[case], dtype, dtype, precision=precision)
                if subject.refusal(device) is None:
                    tiles = [(tile, dict(tile.sizes)) for tile in variant.tiles(subject.request, device)]
                    widest, _ = max(tiles, key=lambda tile: (tile[1].get("tile_out", 0), -tile[1].get("splits", 1)))
                    split, _ = max(tiles, key=lambda tile: (tile[1].get("splits", 1), tile[1].get("tile_out", 0)))
                    shared, _ = max(tiles, key=lambda tile: (tile[1].get("window", 0), tile[1].get("teams", 1)))
                    yield from (replace(subject, tile=str(tile)) for tile in dict.fromkeys((widest, split, shared)))

    @classmethod
    def after_keeping(cls, which: str, variant: Variant, dtype: str) -> "tuple[Subject, ...]":
        """A backward pass that takes samples, or plans, from where a forward by any of NVIDIA's units has left them."""
        if which == "forward" or variant.name not in nvidia.UNITS:
            return ()
        forwards = [forward for forward in PASSES["forward"] if forward.name in nvidia.UNITS]
        return tuple(cls(which, variant, BY_NAME[name], dtype, dtype, kept=forward) for name in ("deep", "deep-v1") for forward in forwards)

    @property
    def request(self) -> Request:
        """What is asked of the variant."""
        problem = replace(self.case.problem(self.dtype, self.small), precision=self.precision)
        return Request(problem, self.needs, self.deterministic)

    @property
    def needs(self) -> frozenset[str]:
        """The gradients that the pass makes of this case."""
        return GRADIENTS.get(self.which, frozenset()) & frozenset(self.case.problem().operands())

    def refusal(self, device: Device) -> str | None:
        """Why the device doesn't get this variant, in one sentence; None if it does."""
        reason = refusal(self.variant, self.request, device)
        if reason is None and self.kept:
            reason = refusal(self.kept, replace(self.request, needs=frozenset()), device)
        return reason

    def plan(self, device: Device) -> Plan:
        """A plan that is made to use the variant."""
        case = self.case
        # all passes are named where several run, for the choice of one may be what asks for this check
        variants = {**dict.fromkeys(GRADIENTS, "plain"), "forward": self.kept.name} if self.kept else {}
        exactly = forced(self.which, Choice(self.variant.name, self.tile)) if self.tile else nullcontext()
        with exactly:
            return Plan(
                case.input, case.weight, dtype=self.dtype, offset_groups=case.offset_groups, mask=case.mask, bias=case.bias,
                **self._options, deterministic=self.deterministic, precision=self.precision, device=device, offset_dtype=self.small,
                mask_dtype=self.small, variants={**variants, self.which: self.variant.name},
            )  # fmt: skip

    def results(self, plan: Plan) -> dict[str, NumpyArray]:
        """What the plan makes of the case's arrays, by name."""
        arrays: dict[str, Any] = self.case.arrays(self.dtype, self.small)
        grad_output = arrays.pop("grad_output")
        if self.which == "forward":
            return {"output": plan.forward(**arrays)}
        outputs = {"output": plan.forward(**arrays, keep=True)} if self.kept else {}
        gradients = plan.backward(grad_output, **arrays, needs=self.needs)
        return outputs | {f"grad_{name}": getattr(gradients, name) for name in self.needs}

    def errors(self, plan: Plan) -> str:
        """An account of all wrong elements against the reference, with the call that makes them; empty if there are none."""
        got, want, magnitude = self.results(plan), *self._expected()
        rounds = self.variant.name in _UNITS
        accounts = (account(name, got[name], want[name], magnitude[name], plan.problem, self.call, rounds) for name in sorted(got))
        return "\n".join(text for text in accounts if text)

    def differences(self, plan: Plan, runs: int = 4) -> str:
        """An account of what differs, in any bit, between repeated runs; empty if nothing does."""
        first, *others = (self.results(plan) for _ in range(runs))
        names = sorted({name for other in others for name in first if other[name].tobytes() != first[name].tobytes()})
        return f"{', '.join(names)} differ between runs of {self.call}" if names else ""

    def _expected(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the reference makes of the case's arrays, and the magnitude of its terms."""
        arrays: dict[str, Any] = self.case.arrays(self.dtype, self.small)
        arguments: dict[str, Any] = {name: arrays.get(name) for name in OPERANDS} | self._options
        outputs: tuple[dict[str, Any], ...] = ({}, {})
        if self.which == "forward" or self.kept:
            outputs = {"output": reference.deform_conv2d(**arguments)}, {"output": reference.forward_magnitude(**arguments)}
        if self.which == "forward":
            return outputs[0], outputs[1]
        arguments |= {"grad_output": arrays["grad_output"], "needs": self.needs}
        both = reference.deform_conv2d_backward(**arguments), reference.backward_magnitude(**arguments)
        want, magnitude = ({f"grad_{name}": getattr(gradients, name) for name in self.needs} for gradients in both)
        return outputs[0] | want, outputs[1] | magnitude

    @property
    def _options(self) -> dict[str, Any]:
        return self.case.options | {"convention": self.case.convention, "nonfinite": self.case.nonfinite}

    @property
    def call(self) -> str:
        """How to make the same data again."""
        arrays = f"clconv.check.cases.BY_NAME[{self.case.name!r}].arrays({self.dtype!r}, {self.small!r})"
        kept = f"after {self.kept.name}(keep=True)" if self.kept else ""
        way = " ".join(filter(None, (self.variant.name, self.tile, self.precision, kept)))
        return f"{self.which}={way} of {arrays}, seed {self.case.seed}"

    def __str__(self) -> str:
        deterministic = ", bit-identical" if self.deterministic else ""
        kept = f", after {self.kept.name} that keeps" if self.kept else ""
        return f"{self.which} {self.variant.name}: {self.case.name}, {self.dtype}{deterministic}{kept}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended: "ok", "wrong", "failed" (an error came) or "refused" (the device doesn't get the variant)."""

    subject: Subject
    verdict: str
    detail: str
    seconds: float


def subjects(device: Device) -> Iterator[Subject]:
    """Every variant on a few cases that between them take every type, the widest tile and most branches."""
    for which, variants in PASSES.items():
        for variant in variants:
            for dtype in ("float32", "float64", "float16", "bfloat16"):
                yield from Subject.typical(which, variant, dtype)
                yield from Subject.widest(which, variant, dtype, device)
                yield from Subject.after_keeping(which, variant, dtype)
            for name in ("conv", "groups", "nan", "far", "openvino-border", "deep-conv", "deep-nan", "deep-far", "deep-range"):
                yield Subject(which, variant, BY_NAME[name])
            if which != "forward":
                yield Subject(which, variant, BY_NAME["larger"], deterministic=True)


def run(subject: Subject, device: Device) -> Outcome:
    """Check one subject on a device; whatever goes wrong becomes the outcome."""
    start = time.perf_counter()

    def outcome(verdict: str, detail: str = "") -> Outcome:
        return Outcome(subject, verdict, detail, time.perf_counter() - start)

    if (reason := subject.refusal(device)) is not None:
        return outcome("refused", reason)
    try:
        plan = subject.plan(device)
        detail = subject.differences(plan) if subject.deterministic else subject.errors(plan)
    except ClconvError as error:
        return outcome("failed", f"{type(error).__name__}: {error} in {subject.call}")
    return outcome("wrong" if detail else "ok", detail)
