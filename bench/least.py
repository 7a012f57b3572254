"""Speed against peers by the least time of each row: what a report says of a machine that others use at the same time.

    python bench/least.py bench/results/cpu5_avx512*.json

A row for each layer of each device: milliseconds, and peers' times over them, of the forward, the backward and both together. Of several
reports of the same rows the least of all counts, the peers' too.
"""

import argparse
from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import geometric_mean

from clconv.bench.figures import CLCONV, peers_of
from clconv.bench.record import Report, Row

PASSES = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}

Times = dict[tuple[str, str, str, str], float]


def least(rows: Sequence[Row]) -> Times:
    """Least milliseconds by device, system, layer and pass."""
    times: Times = {}
    for row in rows:
        if row.verdict == "ok" and row.time:
            key = (row.key.device, row.key.system, row.key.layer, row.key.which)
            times[key] = min(1e3 * row.time.least, times.get(key, inf))
    return times


def total(times: Times, device: str, system: str, layer: str, what: str) -> float | None:
    """Milliseconds of all passes that `what` means; None where one has no time."""
    found = [times.get((device, system, layer, which)) for which in PASSES[what]]
    return sum(value for value in found if value) if all(found) else None


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown."""
    times, peers = least(rows), peers_of(rows)
    lines = [f"| device | layer | pass | ms | {' | '.join(peers)} |", f"|:--|:--|:--|--:|{'--:|' * len(peers)}"]
    for device in dict.fromkeys(row.key.device for row in rows):
        ratios: dict[tuple[str, str], list[float]] = {}
        for layer in dict.fromkeys(row.key.layer for row in rows):
            for what in PASSES:
                if (ours := total(times, device, CLCONV, layer, what)) is None:
                    continue
                cells = []
                for peer in peers:
                    theirs = total(times, device, peer, layer, what)
                    cells.append(f"{theirs / ours:.3g}" if theirs else "")
                    if theirs:
                        ratios.setdefault((what, peer), []).append(theirs / ours)
                lines.append(f"| {device} | {layer} | {what} | {ours:.3g} | {' | '.join(cells)} |")
        for what in PASSES:
            means = [f"{geometric_mean(ratios[what, peer]):.3g}" if (what, peer) in ratios else "" for peer in peers]
            lines.append(f"| {device} | geometric mean | {what} | | {' | '.join(means)} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    print("\n".join(table([row for path in parser.parse_args().reports for row in Report.read(path).rows])))
