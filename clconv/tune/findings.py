"""What trials say: of each pass and layer on a machine, the fastest, and how much faster it is than what is chosen without any."""

from collections.abc import Iterable
from dataclasses import dataclass

from clconv import tuned
from clconv.tuned import Key, Machine, Trial


@dataclass(frozen=True, slots=True)
class Finding:
    """The last trials of all candidates of one key on one machine."""

    machine: Machine
    key: Key
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial | None:
        """The fastest; None if none is right."""
        return tuned.fastest(self.trials)

    @property
    def layer(self) -> str:
        """Name of the layer that was measured last."""
        return self.trials[-1].layer

    @property
    def bad(self) -> tuple[Trial, ...]:
        """Those that gave no time."""
        return tuple(trial for trial in self.trials if trial.seconds is None)

    @property
    def gain(self) -> float | None:
        """How many times faster the best is than the default; None where that gave no time."""
        default = next((trial.seconds for trial in self.trials if trial.default), None)
        return default / self.best.seconds if default and self.best and self.best.seconds else None


def findings(trials: Iterable[Trial]) -> list[Finding]:
    """What trials say, machine by machine, in the order in which they were made."""
    found = [Finding(machine, key, tuple(tried.values())) for (machine, key), tried in tuned.latest(trials).items()]
    order = {machine: place for place, machine in enumerate(dict.fromkeys(finding.machine for finding in found))}
    return sorted(found, key=lambda finding: order[finding.machine])
