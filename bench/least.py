"""Speed against peers by the least time of each row: what a report says of a machine that others use at the same time.

    python bench/least.py bench/results/cpu5_avx512.json

A row for each layer of each device: milliseconds, and peers' times over them, of the forward, the backward and both together.
"""

import argparse
from pathlib import Path
from statistics import geometric_mean

from clconv.bench.figures import CLCONV, peers_of
from clconv.bench.record import Report

PASSES = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}

Times = dict[tuple[str, str, str, str], float]


def least(report: Report) -> Times:
    """Least milliseconds by device, system, layer and pass."""
    keyed = ((row.key, row.time) for row in report.rows if row.verdict == "ok")
    return {(key.device, key.system, key.layer, key.which): 1e3 * time.least for key, time in keyed if time}


def total(times: Times, device: str, system: str, layer: str, what: str) -> float | None:
    """Milliseconds of all passes that `what` means; None where one has no time."""
    found = [times.get((device, system, layer, which)) for which in PASSES[what]]
    return sum(value for value in found if value) if all(found) else None


def table(report: Report) -> list[str]:
    """Lines of Markdown."""
    times, peers = least(report), peers_of(report.rows)
    lines = [f"| device | layer | pass | ms | {' | '.join(peers)} |", f"|:--|:--|:--|--:|{'--:|' * len(peers)}"]
    for device in dict.fromkeys(row.key.device for row in report.rows):
        ratios: dict[tuple[str, str], list[float]] = {}
        for layer in dict.fromkeys(row.key.layer for row in report.rows):
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
    parser.add_argument("report", type=Path)
    print("\n".join(table(Report.read(parser.parse_args().report))))
