"""Reports side by side: what became faster or slower between versions, and how devices rank.

All ratios are the first one's seconds over the other one's: above 1, the other is faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import geometric_mean
from typing import Any

from clconv.bench.figures import CLCONV, seconds
from clconv.bench.record import Key, Report, Row
from clconv.bench.timing import Spread
from clconv.bench.words import outcome, sentence
from clconv.errors import ProblemError

_NEGLIGIBLE = 0.01
"""Part of a time by which two may differ and still be called the same."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What is compared: a report, or a device of one. Its rows by what they share with the others' rows."""

    name: str
    rows: Mapping[Key, Row]


@dataclass(frozen=True, slots=True)
class Match:
    """The same row of the first contender and of another one, by name."""

    key: Key
    other: str
    before: Spread
    after: Spread
    remark: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster the other one is, by medians."""
        return self.before.median / self.after.median

    @property
    def apart(self) -> bool:
        """Whether the intervals between the quartiles don't overlap."""
        return self.before.q3 < self.after.q1 or self.after.q3 < self.before.q1

    @property
    def verdict(self) -> str:
        """Of the other one: "faster", "slower" or "same" where spreads don't overlap, else "within spread"."""
        if not self.apart:
            return "within spread"
        if abs(self.ratio - 1) < _NEGLIGIBLE:
            return "same"
        return "faster" if self.ratio > 1 else "slower"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row without a time in one contender, by name; `verdict` is "missing" where there is none."""

    key: Key
    contender: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Rank:
    """Geometric mean of a contender's ratios over this library's rows that all have; the first contender's is 1."""

    name: str
    ratio: float
    rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`of` is "reports" or "devices"; the first of `names` is what the others are compared with. `ranking` has the fastest first."""

    of: str
    names: tuple[str, ...]
    matches: tuple[Match, ...]
    left_out: tuple[LeftOut, ...]
    ranking: tuple[Rank, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "matches": [match.as_json() for match in self.matches]}


def compare(reports: Mapping[str, Report]) -> Comparison:
    """Match rows of the same key: between reports where these share a device, otherwise between devices, whatever report they are of.

    Parameters
    ----------
    reports : mapping
        By the names that they shall have; the others are compared with the first.

    Raises
    ------
    ProblemError
        There are fewer than two to compare.
    """
    of, contenders = _contenders(reports)
    if len(contenders) < 2:
        raise ProblemError(f"reports: expected two, or one of several devices, got {len(contenders)} with rows")
    keys = dict.fromkeys(key for contender in contenders for key in contender.rows)
    names = tuple(contender.name for contender in contenders)
    matches = tuple(_matches(keys, contenders))
    left_out = tuple(found for key in keys for contender in contenders if (found := _left_out(key, contender)))
    return Comparison(of, names, matches, left_out, _ranking(names, matches))


def failures(comparison: Comparison, least: float) -> list[str]:
    """Why a comparison isn't good enough, a sentence each: this library's rows and means below `least`, and rows that broke.

    A row counts where the spreads don't overlap. A row broke that was right in the first contender and is wrong or failed in another.
    """
    own = [match for match in comparison.matches if match.key.system == CLCONV]
    found = [f"{sentence(match.key)}: {match.ratio:.3f} in {match.other}" for match in own if match.apart and match.ratio < least]
    found += [f"geometric mean over {rank.rows} rows: {rank.ratio:.3f} in {rank.name}" for rank in comparison.ranking if rank.ratio < least]
    lacking = {left.key for left in comparison.left_out if left.contender == comparison.names[0]}
    broken = [left for left in comparison.left_out if left.key.system == CLCONV and left.verdict in ("wrong", "failed")]
    found += [f"{sentence(left.key)}: {left.why} in {left.contender}" for left in broken if left.key not in lacking]
    return found if comparison.ranking else [*found, "no row of this library has a time in all of them"]


def _contenders(reports: Mapping[str, Report]) -> tuple[str, list[Contender]]:
    devices = [{row.key.device for row in report.rows} for report in reports.values()]
    if len(reports) > 1 and set.intersection(*devices):
        return "reports", [Contender(name, {row.key: row for row in report.rows}) for name, report in reports.items()]
    return "devices", [contender for name, report in reports.items() for contender in _devices(name, report, len(reports))]


def _devices(name: str, report: Report, reports: int) -> list[Contender]:
    """The devices of a report, without their label in the keys; named by it, and by the report where there are several."""
    of_device: dict[str, dict[Key, Row]] = {}
    for row in report.rows:
        of_device.setdefault(row.key.device, {})[replace(row.key, device="")] = row
    return [Contender(f"{device} ({name})" if reports > 1 else device, rows) for device, rows in of_device.items()]


def _matches(keys: Mapping[Key, None], contenders: Sequence[Contender]) -> list[Match]:
    first, *others = contenders
    pairs = ((key, other.name, first.rows.get(key), other.rows.get(key)) for key in keys for other in others)
    return [match for key, name, before, after in pairs if before and after and (match := _match(key, name, before, after))]


def _match(key: Key, name: str, before: Row, after: Row) -> Match | None:
    """Two rows that both have a time, else None."""
    if not (seconds(before) and seconds(after) and before.time and after.time):
        return None
    remark = "" if before.main == after.main else f"{before.main} time against {after.main} time"
    return Match(key, name, before.time, after.time, remark)


def _left_out(key: Key, contender: Contender) -> LeftOut | None:
    row = contender.rows.get(key)
    if row is None:
        return LeftOut(key, contender.name, "missing", "missing")
    return None if seconds(row) else LeftOut(key, contender.name, row.verdict, outcome(row))


def _ranking(names: Sequence[str], matches: Sequence[Match]) -> tuple[Rank, ...]:
    """Contenders by geometric mean, fastest first; nothing if no row of this library is in all."""
    ratios = {name: {match.key: match.ratio for match in matches if match.other == name} for name in names[1:]}
    common = [key for key in next(iter(ratios.values())) if key.system == CLCONV and all(key in found for found in ratios.values())]
    if not common:
        return ()
    ranks = [Rank(name, geometric_mean(found[key] for key in common), len(common)) for name, found in ratios.items()]
    return tuple(sorted([Rank(names[0], 1.0, len(common)), *ranks], key=lambda rank: -rank.ratio))
