"""What is chosen where nothing was measured, against the best of what `clconv tune` tried: the largest ratios of their times.

    python bench/untuned.py bench/results/tuned_h100.jsonl --device nvidia

The device must be of the kind that the trials are from: it says what is chosen today, the trials how long that and the others took.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from clconv import tuned, tuning
from clconv.bench.layers import layers
from clconv.device import Device, resolve
from clconv.schedule import Request
from clconv.tuned import Choice, Key, Trial


def chosen(key: Key, layer: str, device: Device) -> Choice:
    """What a request gets from an empty database."""
    problem = layers()[layer].problem(key.dtype, key.precision)
    needs = frozenset(key.needs.split()) | (frozenset({"bias"}) if key.which == "backward_weight" and problem.has_bias else frozenset())
    variant, tile = next(iter(tuning.candidates(key.which, Request(problem, needs, key.deterministic), device)))
    return Choice(variant.name, str(tile))


def ratios(trials: tuple[Trial, ...], device: Device) -> Iterator[tuple[float, str]]:
    """Of each layer and pass: how many times as long as the fastest takes what is chosen, and what these are."""
    for (_, key), tried in tuned.latest(trials).items():
        layer, fastest = next(iter(tried.values())).layer, tuned.fastest(tried.values())
        if fastest is None or fastest.seconds is None:
            continue
        choice = chosen(key, layer, device)
        seconds = tried[choice].seconds if choice in tried else None
        text = f"{layer} {key.which} {key.dtype}: {choice}, fastest {fastest.choice}"
        yield (seconds / fastest.seconds if seconds else float("nan")), text if seconds else f"{text}: not tried"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=Path, help="what `clconv tune --export` wrote")
    parser.add_argument("--device", help="index, kind or part of a name")
    options = parser.parse_args()
    found = sorted(ratios(tuned.read(options.trials), resolve(options.device)), key=lambda found: -found[0] if found[0] > 0 else -math.inf)
    print("\n".join(f"{ratio:.2f}  {text}" for ratio, text in found))


if __name__ == "__main__":
    main()
