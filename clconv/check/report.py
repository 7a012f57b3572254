"""What `clconv check` found, with all that a bug report needs to say."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from clconv.check.run import Outcome, Subject, run, subjects
from clconv.device import Device
from clconv.tuning import PASSES


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes on one device."""

    device: Device
    outcomes: tuple[Outcome, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong and nothing failed."""
        return not self.bad

    @property
    def bad(self) -> tuple[Outcome, ...]:
        """The outcomes that are wrong or failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict in ("wrong", "failed"))

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "device": describe(self.device),
            "good": self.good,
            "outcomes": [
                {
                    "pass": outcome.subject.which,
                    "variant": outcome.subject.variant.name,
                    "case": outcome.subject.case.name,
                    "dtype": outcome.subject.dtype,
                    "deterministic": outcome.subject.deterministic,
                    "verdict": outcome.verdict,
                    "detail": outcome.detail,
                    "call": outcome.subject.call,
                    "seconds": round(outcome.seconds, 3),
                }
                for outcome in self.outcomes
            ],
        }


def check_device(device: Device, passes: Iterable[str] = PASSES, on_outcome: Callable[[Outcome], None] = lambda outcome: None) -> Report:
    """Run every subject of some passes on a device."""
    outcomes = []
    for subject in all_subjects(device, passes):
        outcomes.append(run(subject, device))
        on_outcome(outcomes[-1])
    return Report(device, tuple(outcomes))


def all_subjects(device: Device, passes: Iterable[str] = PASSES) -> tuple[Subject, ...]:
    """What a check of a device consists of."""
    return tuple(subject for subject in subjects(device) if subject.which in passes)


def describe(device: Device) -> dict[str, Any]:
    """A device's capabilities as plain values."""
    values = asdict(replace(device, handle=None))
    del values["handle"]
    return values
