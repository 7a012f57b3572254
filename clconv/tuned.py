"""What was measured to be fastest: the user's own trials, over the defaults that are shipped for kinds of devices.

Trials are lines of JSON in a file of the user's data, written as they come; a line that is damaged is passed over. CLCONV_TUNED=0
ignores both.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clconv.errors import ProblemError
from clconv.schedule import Request

if TYPE_CHECKING:
    from clconv.device import Device


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant by name and a tile as it reads in `repr(plan)`."""

    variant: str
    tile: str

    def __str__(self) -> str:
        return f"{self.variant} ({self.tile})"


@dataclass(frozen=True, slots=True)
class Key:
    """What a choice holds for: a pass and what can change which of its tiles is fastest.

    That is the problem without bias, padding, convention and the type of offsets, which cost a few instructions, and with batch and
    image size as one number: no kernel is compiled for them, they only say how many tasks there are. `pixels` are the batch's output
    pixels, rounded to a power of two. `needs` are the gradients, in order, without the bias's, which has a kernel of its own.
    """

    which: str
    dtype: str
    precision: str | None
    deterministic: bool
    needs: str
    in_channels: int
    out_channels: int
    kernel_y: int
    kernel_x: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    groups: int
    offset_groups: int
    has_mask: bool
    pixels: int

    @classmethod
    def of(cls, which: str, request: Request) -> "Key":
        """The key of a request."""
        problem = request.problem
        deterministic = request.deterministic and which == "backward_data"  # the other passes are so anyway
        return cls(
            which, problem.dtype, problem.precision, deterministic, " ".join(sorted(request.needs - {"bias"})),
            problem.in_channels, problem.out_channels, problem.kernel_y, problem.kernel_x, problem.stride_y, problem.stride_x,
            problem.dilation_y, problem.dilation_x, problem.groups, problem.offset_groups, problem.has_mask,
            1 << round(log2(max(1, problem.out_pixels))),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """A device with its driver, as a trial remembers it."""

    platform: str
    name: str
    driver: str

    @classmethod
    def of(cls, device: "Device") -> "Machine":
        """The machine that a device is."""
        return cls(device.platform, device.name, device.driver)


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate that was tried.

    `verdict` is "ok" with the median `seconds` of a call on the device's clock, measured in turns with the default and given in terms of
    its trial, if that came before; or "wrong", "failed" (an error came) or "lost" (the
    process ended or took too long), with the `reason`. `layer` is the name of what was measured, `default` says whether this is what
    would be chosen without any trial, `kernels` is the digest of the kernels.
    """

    machine: Machine
    key: Key
    choice: Choice
    verdict: str
    seconds: float | None = None
    reason: str = ""
    layer: str = ""
    default: bool = False
    kernels: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Trial":
        """What `dataclasses.asdict` gave.

        Raises
        ------
        TypeError, ValueError, KeyError
            It is something else.
        """
        parts = {"machine": Machine(**values["machine"]), "key": Key(**values["key"]), "choice": Choice(**values["choice"])}
        trial = cls(**{**values, **parts})
        if (trial.verdict == "ok") != isinstance(trial.seconds, float):
            raise ValueError(f"seconds: expected a number with the verdict 'ok' alone, got {trial.seconds!r} with {trial.verdict!r}")
        return trial


def known(which: str, request: Request, device: "Device") -> Iterator[Choice]:
    """What was measured to be fastest for a request: by the user, then in the shipped defaults. Neither needs to be legal here.

    On CPUs what was measured in the accumulator's type stands for half types: their kernels copy the input to it and differ in little else.
    """
    if os.environ.get("CLCONV_TUNED") == "0":
        return
    key = Key.of(which, request)
    keys = dict.fromkeys((key, replace(key, dtype=request.problem.accumulator) if device.kind == "cpu" else key))
    for choices in (_fastest(user_file(), Machine.of(device)), *map(_shipped, architectures(device))):
        yield from (choices[key] for key in keys if key in choices)


def user_file() -> Path:
    """Where trials are kept: in XDG_DATA_HOME, or the system's place for a user's data."""
    places = {"win32": os.environ.get("LOCALAPPDATA", "~"), "darwin": "~/Library/Application Support"}
    try:
        folder = Path(os.environ.get("XDG_DATA_HOME") or places.get(sys.platform, "~/.local/share")).expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        folder = Path(tempfile.gettempdir())
    return folder / "clconv" / "tuned.jsonl"


def read(file: Path) -> tuple[Trial, ...]:
    """The trials of a file, the oldest first; those of a file that isn't there, or of a damaged line, are none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(trial for trial in map(_parsed, lines) if trial)


def _parsed(line: str) -> Trial | None:
    try:
        return Trial.from_json(json.loads(line))
    except (ValueError, TypeError, KeyError):
        return None


def append(trials: Iterable[Trial]) -> None:
    """Add trials to the user's file.

    Each line begins with its newline, so that one which was cut off, by a process that was killed, spoils no other.

    Raises
    ------
    ProblemError
        The file can't be written.
    """
    file = user_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write("".join(f"\n{json.dumps(asdict(trial))}" for trial in trials))
    except OSError as error:
        raise ProblemError(f"{file}: expected a file to keep trials in (XDG_DATA_HOME says where), but {error}") from error
    forget()


def forget() -> None:
    """Read files again when they are asked for next."""
    _fastest.cache_clear()
    _shipped.cache_clear()


def latest(trials: Iterable[Trial]) -> dict[tuple[Machine, Key], dict[Choice, Trial]]:
    """The last trial of every candidate."""
    found: dict[tuple[Machine, Key], dict[Choice, Trial]] = {}
    for trial in trials:
        found.setdefault((trial.machine, trial.key), {})[trial.choice] = trial
    return found


def fastest(trials: Iterable[Trial]) -> Trial | None:
    """The fastest that is right; but the default, if none is faster by more than trials of the same differ."""
    right = {trial: trial.seconds for trial in trials if trial.seconds is not None}
    best = min(right, key=right.__getitem__, default=None)
    default = next((trial for trial in right if trial.default), None)
    return default if best and default and right[default] <= _SAME * right[best] else best


@cache
def _fastest(file: Path, machine: Machine) -> dict[Key, Choice]:
    """The user's choices on a machine, read once."""
    best = {key: fastest(tried.values()) for (owner, key), tried in latest(read(file)).items() if owner == machine}
    return {key: trial.choice for key, trial in best.items() if trial}


_SAME = 1.03
"""By which factor times of the same differ from trial to trial."""

DEFAULTS = Path(__file__).parent / "defaults"
"""Where shipped choices lie: a JSON file for each architecture, written by `clconv tune --defaults`."""


def architectures(device: "Device") -> tuple[str, ...]:
    """Names of files that may hold a device's defaults, the closest first: "nvidia-h100-pcie", "nvidia-h100", "nvidia".

    CPUs differ by the width of their vectors and by how many threads share the work: "cpu-float16-2". Others go by their name without its
    memory, and by how it begins.
    """
    if device.kind == "cpu":
        return (f"cpu-float{device.vector_width}-{device.compute_units}",)
    words = re.sub(r"\((r|tm)\)|\b\d+ ?gb\b.*", " ", device.name.lower())
    parts = re.findall(r"[a-z0-9]+", words) or ["unknown"]
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))


@cache
def _shipped(architecture: str) -> dict[Key, Choice]:
    """The choices of a file of defaults; none where there is no such file."""
    file = DEFAULTS / f"{architecture}.json"
    if not file.exists():
        return {}
    listed = json.loads(file.read_text(encoding="utf-8"))["choices"]
    return {Key(**entry["key"]): Choice(**entry["choice"]) for entry in listed}
