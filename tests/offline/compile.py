"""Compiles every portable kernel for AMD, Intel, NVIDIA and SPIR-V, lints it strictly, and compares what it uses with resources.csv.

From the folder `tests`:

    python -m offline.compile            fails on what doesn't compile, on spills, and on differences from the table
    python -m offline.compile --update   writes the table anew
    python -m offline.compile --target gfx90a --target lint
    python -m offline.compile --allow-missing   passes over targets whose compiler isn't installed, else they fail
"""

import argparse
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from clconv.schedule import Kernel
from clconv.source import render
from offline import table
from offline.targets import SPILLS, TARGETS, Figures, Source, Target
from offline.toolchain import Missing, Refused
from offline.work import Row, work


@dataclass
class Report:
    """What came out: figures, the compilers' versions, and everything that is wrong."""

    figures: table.Table = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refused: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    @property
    def refusals(self) -> list[str]:
        """The first message of each kind."""
        return [f"{found[0]}\nThe same in {len(found) - 1} other rows." for found in self.refused.values()]


def main() -> int:
    """Compile, then update or compare; the exit status."""
    options = _options()
    targets = [target for target in TARGETS if target.name in options.target]
    report = Report()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        for target in targets:
            _compile_all(target, Path(folder) / target.name, pool, report)
    missing = [] if options.allow_missing else [f"{name}: {reason}" for name, reason in report.missing.items()]
    wrong = report.refusals + report.wrong + missing
    if options.update and not wrong:
        _update(report)
    elif not options.update:
        wrong += _compared(report)
    print("\n".join(wrong) or f"{', '.join(report.versions) or 'nothing'}: as it should be")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [target.name for target in TARGETS]
    parser.add_argument("--target", action="append", choices=names, help="this target alone; repeatable")
    parser.add_argument("--update", action="store_true", help="write the table anew")
    parser.add_argument("--allow-missing", action="store_true", help="pass over targets whose compiler isn't installed")
    options = parser.parse_args()
    options.target = options.target or names
    return options


def _compile_all(target: Target, folder: Path, pool: ThreadPoolExecutor, report: Report) -> None:
    """Compile the kernels of a target, each distinct source once."""
    rows = work(target)
    sources = {kernel: (render(kernel), kernel.options) for kernels in rows.values() for kernel in kernels}
    distinct = {source: kernel for kernel, source in sources.items()}
    folder.mkdir()
    try:
        versions = target.versions(folder)
        _compile(target, next(iter(distinct.values())), folder / "first")  # what is missing shows itself, and shared libraries are made
    except Missing as missing:
        report.missing[target.name] = str(missing)
        print(f"{target.name:8} skipped: {missing}", flush=True)
        return
    report.versions[target.name] = versions
    paths = [folder / str(number) for number in range(len(distinct))]
    results = dict(zip(distinct, pool.map(_compile, [target] * len(distinct), distinct.values(), paths), strict=True))
    for row, kernels in rows.items():
        _record(row, [results[sources[kernel]] for kernel in kernels], target, report)
    print(f"{target.name:8} {len(rows)} rows, {len(distinct)} programs, {versions}", flush=True)


def _compile(target: Target, kernel: Kernel, folder: Path) -> Figures | Refused:
    folder.mkdir()
    file = folder / "kernel.cl"
    file.write_text(render(kernel), encoding="utf-8")
    try:
        return target.compile(Source(file, kernel.options, folder), target.name)
    except Refused as refused:
        return refused


def _record(row: Row, results: list[Figures | Refused], target: Target, report: Report) -> None:
    """A row's figures, the largest of its kernels'."""
    for result in results:
        if isinstance(result, Refused):
            report.refused.setdefault((target.name, row.kernel, _reasons(result)), []).append(f"{row}:\n{result}")
            return
    found = [result for result in results if not isinstance(result, Refused)]
    figures = {name: max(each[name] for each in found) for name in found[0]}
    spilled = {name: figures[name] for name in SPILLS if figures.get(name, 0) > target.may_spill}
    if spilled:
        report.wrong.append(f"{row} spills in its default tile: {spilled}")
    if target.is_hardware:
        report.figures[row] = figures


def _reasons(refused: Refused) -> str:
    """What it complains about, without the places."""
    return " ".join(sorted(set(re.findall(r"error: .*", str(refused)))))


def _update(report: Report) -> None:
    """Rows of the targets that were compiled are replaced."""
    versions, kept = table.read()
    table.write(
        versions | report.versions, {row: value for row, value in kept.items() if row.target not in report.versions} | report.figures
    )


def _compared(report: Report) -> list[str]:
    versions, want = table.read()
    compiled = {row: value for row, value in want.items() if row.target in report.versions}
    found = list(table.differences(compiled, report.figures))
    if not found:
        return []
    other = [f"  {name}: {versions[name]}, here {here}" for name, here in report.versions.items() if versions.get(name, here) != here]
    because = ["the table was made by other compilers:", *other] if other else []
    return ["offline/resources.csv differs (python -m offline.compile --update writes it anew):", *found, *because]


if __name__ == "__main__":
    sys.exit(main())
