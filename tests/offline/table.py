"""The committed table of registers, spills and memory: read, written and compared."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import TypeAlias

from offline.targets import FIGURES, Figures
from offline.work import Row

PATH = Path(__file__).parent / "resources.csv"

Table: TypeAlias = dict[Row, Figures]

_KEY = tuple(field.name for field in fields(Row))
_COMMENT = "# "


def read(path: Path = PATH) -> tuple[dict[str, str], Table]:
    """Compilers' versions by target, and the table."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    heads = (line.removeprefix(_COMMENT).partition(": ") for line in lines if line.startswith(_COMMENT))
    rows = csv.DictReader(line for line in lines if not line.startswith(_COMMENT))
    table: Table = {Row(*(row[name] for name in _KEY)): {name: int(row[name]) for name in FIGURES if row[name]} for row in rows}
    return {target: version for target, _, version in heads}, table


def write(versions: Mapping[str, str], table: Table, path: Path = PATH) -> None:
    """Sorted, so that a change of one kernel changes its lines alone."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{_COMMENT}{target}: {version}\n" for target, version in sorted(versions.items()))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_KEY, *FIGURES))
        writer.writerows((*astuple(row), *(figures.get(name, "") for name in FIGURES)) for row, figures in sorted(table.items()))


def differences(want: Table, got: Table) -> Iterator[str]:
    """One line for each row that is gone, new or changed."""
    for row in sorted(want.keys() | got.keys()):
        if row not in got:
            yield f"{row}: gone"
        elif row not in want:
            yield f"{row}: new"
        elif changed := {name for name in FIGURES if want[row].get(name) != got[row].get(name)}:
            figures = ", ".join(f"{name} {want[row].get(name)} -> {got[row].get(name)}" for name in FIGURES if name in changed)
            yield f"{row}: {figures}"
