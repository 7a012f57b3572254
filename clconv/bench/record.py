"""What a benchmark writes down: rows, and the report that holds them. Reports are JSON files that `clconv compare` reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clconv import disk
from clconv.bench.timing import Spread
from clconv.errors import ProblemError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Key:
    """What was measured. `system` is "clconv" or a peer; `variant` is what was asked for, "" for the library's choice."""

    layer: str
    which: str  # "forward", "backward", "backward_data" or "backward_weight"
    dtype: str
    precision: str
    deterministic: bool
    offsets: str
    device: str  # label of the device
    system: str
    variant: str = ""
    fixed_weight: bool = False  # the weight was given once and stayed


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    `verdict` is "ok", "wrong" (then there are no times), "failed" or "refused", with the reason. Times by what they are of:
    "device" (first to last event of a call), "call" (host time of a call with arrays on the device, until it is done), "enqueue" (host
    time until it returns), "numpy" (a call with NumPy arrays, transfers included). `main` names the one that systems are compared by.
    `kernels` are medians in seconds by name; `first` holds the seconds of a first call in a new process, "cold" and "warm" disk cache.
    """

    key: Key
    verdict: str
    reason: str = ""
    main: str = "device"
    times: Mapping[str, Spread] = field(default_factory=dict)
    kernels: Mapping[str, float] = field(default_factory=dict)
    first: Mapping[str, float] = field(default_factory=dict)
    chosen: str = ""  # variants and tiles that ran
    flops: int = 0
    bytes: int = 0
    error: float | None = None  # largest relative error of a result, against float64
    memory: int | None = None  # bytes beyond operands and results

    @property
    def time(self) -> Spread | None:
        """The time that systems are compared by; None where there is none."""
        return self.times.get(self.main)

    @property
    def seconds(self) -> float | None:
        """Its median."""
        return None if self.time is None else self.time.median

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Row":
        """What `as_json` gave."""
        row = cls(**values)
        times = {name: Spread(**spread) for name, spread in values["times"].items()}
        return replace(row, key=Key(**values["key"]), times=times)


@dataclass(frozen=True, slots=True)
class Report:
    """Rows and where they come from.

    `provenance` is `clconv.provenance.environment()` and the command's options; `devices` describes each device by its label, with
    "ceilings" (seconds-based: "flops" and "bytes" a second, measured); `layers` holds each layer's fields by name; `peers` versions.
    """

    provenance: Mapping[str, Any]
    devices: Mapping[str, Any]
    layers: Mapping[str, Any]
    peers: Mapping[str, str]
    rows: tuple[Row, ...]

    def write(self, path: Path) -> None:
        """Write as JSON; a reader never sees half of it."""
        values = {"format": FORMAT, **asdict(self), "rows": [row.as_json() for row in self.rows]}
        disk.replace(path, json.dumps(values, indent=1))

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Read what `write` wrote.

        Raises
        ------
        ProblemError
            It is no such file.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict) or "format" not in values:
                raise ProblemError(f"{path}: expected a report of `clconv bench --json`, got other JSON")
            if values["format"] != FORMAT:
                raise ProblemError(f"{path}: expected a report of format {FORMAT}, got {values['format']}")
            rows = tuple(Row.from_json(row) for row in values["rows"])
            return cls(values["provenance"], values["devices"], values["layers"], values["peers"], rows)
        except ProblemError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProblemError(f"{path}: expected a report of `clconv bench --json`: {error}") from error
