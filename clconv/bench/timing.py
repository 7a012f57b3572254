"""How often something is run, and what is said of its times."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """Warm-up runs; then at least `runs` and `seconds` of measuring, at most `timeout` seconds in all."""

    warmup: int = 3
    runs: int = 5
    seconds: float = 0.5
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of repeated runs in seconds: the median, the quartiles around it, the least; and what looks odd about them."""

    median: float
    q1: float
    q3: float
    least: float
    runs: int
    remark: str = ""

    @classmethod
    def of(cls, times: Sequence[float]) -> "Spread":
        """Summarise times in the order in which they were taken."""
        q1, middle, q3 = quantiles(times, n=4, method="inclusive") if len(times) > 1 else (times[0],) * 3
        return cls(middle, q1, q3, min(times), len(times), remark(times))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def remark(times: Sequence[float]) -> str:
    """What looks odd, as a few words: many outliers, or a device that slows down while it is measured."""
    middle = median(times)
    third = len(times) // 3
    if third >= 3 and median(times[-third:]) > 1.1 * median(times[:third]):
        return "it slows down while it is measured"
    if sum(value > 1.5 * middle for value in times) > len(times) // 10 and len(times) >= 5:
        return "many runs take much longer than the median"
    return ""


def sample(timed: Callable[[int], float], limits: Limits) -> Spread:
    """Call `timed` with 0, 1, 2, ...; it runs what is measured once and returns the seconds that this took."""
    return in_turns((timed,), limits)[0]


def in_turns(all_timed: Sequence[Callable[[int], float]], limits: Limits) -> list[Spread]:
    """The same of several, one run of each after another: a machine's slow moments are those of all."""
    start = time.perf_counter()

    def left() -> bool:
        return time.perf_counter() - start < limits.timeout

    for number in range(limits.warmup):
        if number == 0 or left():
            for timed in all_timed:
                timed(number)
    times = [[timed(0) for timed in all_timed]]
    begun = time.perf_counter()
    while left() and (len(times) < limits.runs or time.perf_counter() - begun < limits.seconds):
        times.append([timed(len(times)) for timed in all_timed])
    return [Spread.of(own) for own in zip(*times, strict=True)]


def on_host(call: Callable[[int], object]) -> Callable[[int], float]:
    """Time a call that returns when its work is done, by the host's clock."""

    def timed(number: int) -> float:
        start = time.perf_counter()
        call(number)
        return time.perf_counter() - start

    return timed
