"""Trials that go elsewhere: to files, from files, and into the defaults that are shipped."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from clconv import disk, tuned
from clconv.device import Device
from clconv.errors import ProblemError
from clconv.tuned import Machine, Trial


def export(file: Path, trials: Iterable[Trial]) -> int:
    """Write trials to a file that `take` reads, as many as are returned."""
    lines = [json.dumps(asdict(trial)) for trial in trials]
    _write(file, "".join(f"{line}\n" for line in lines))
    return len(lines)


def take(file: Path) -> int:
    """Add a file's trials to the user's, and count those that weren't there; they pass for newer than what is.

    Raises
    ------
    ProblemError
        The file holds none.
    """
    trials = tuned.read(file)
    if not trials:
        raise ProblemError(f"{file}: expected trials as `clconv tune --export` writes them, found none")
    have = set(tuned.read(tuned.user_file()))
    new = [trial for trial in dict.fromkeys(trials) if trial not in have]
    tuned.append(new)
    return len(new)


def write_defaults(device: Device) -> Path:
    """Write what the user's trials on a device say of its architecture into the package.

    Raises
    ------
    ProblemError
        There are none.
    """
    tried = tuned.latest(trial for trial in tuned.read(tuned.user_file()) if trial.machine == Machine.of(device))
    best = [trial for trials in tried.values() if (trial := tuned.fastest(trials.values()))]
    if not best:
        raise ProblemError(f"nothing was measured on {device.label} yet: name the suites to try, as in `clconv tune --suite quick`")
    entries = [{"layer": trial.layer, "seconds": trial.seconds, "choice": asdict(trial.choice), "key": asdict(trial.key)} for trial in best]
    lines = sorted(json.dumps(entry) for entry in entries)
    file = tuned.DEFAULTS / f"{tuned.architectures(device)[0]}.json"
    head = json.dumps({"measured_on": asdict(Machine.of(device)), "choices": []}, indent=1)
    _write(file, head.replace("[]", "[\n" + ",\n".join(lines) + "\n ]") + "\n")
    tuned.forget()
    return file


def _write(file: Path, text: str) -> None:
    try:
        disk.replace(file, text)
    except OSError as error:
        raise ProblemError(f"{file}: expected a file that can be written, but {error}") from error
