"""Trials that go elsewhere: to files, from files, and into the defaults that are shipped."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import geometric_mean

from clconv import disk, tuned
from clconv.device import Device
from clconv.errors import ProblemError
from clconv.tuned import Choice, Key, Machine, Trial


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


def write_defaults(devices: Iterable[Device]) -> list[Path]:
    """Write what the user's trials say of devices into the package: a file for each architecture, whose devices have one choice.

    Raises
    ------
    ProblemError
        There are none of one of the devices.
    """
    tried = tuned.latest(tuned.read(tuned.user_file()))
    machines: dict[str, list[Machine]] = {}
    for device in devices:
        machine = Machine.of(device)
        if not any(owner == machine and tuned.fastest(trials.values()) for (owner, _), trials in tried.items()):
            raise ProblemError(f"nothing was measured on {device.label} yet: name the suites to try, as in `clconv tune --suite quick`")
        machines.setdefault(tuned.architectures(device)[0], []).append(machine)
    files = [_defaults(name, own, tried) for name, own in machines.items()]
    tuned.forget()
    return files


def _defaults(architecture: str, machines: Sequence[Machine], tried: Mapping[tuple[Machine, Key], Mapping[Choice, Trial]]) -> Path:
    keys = dict.fromkeys(key for machine, key in tried if machine in machines)
    found = [_fastest([tried[machine, key] for machine in machines if (machine, key) in tried]) for key in keys]
    entries = [
        {"layer": trial.layer, "seconds": trial.seconds, "choice": asdict(trial.choice), "key": asdict(trial.key)}
        for trial in found
        if trial
    ]
    lines = sorted(json.dumps(entry) for entry in entries)
    file = tuned.DEFAULTS / f"{architecture}.json"
    head = json.dumps({"measured_on": [asdict(machine) for machine in machines], "choices": []}, indent=1)
    _write(file, head.replace('"choices": []', '"choices": [\n' + ",\n".join(lines) + "\n ]") + "\n")
    return file


def _fastest(machines: Sequence[Mapping[Choice, Trial]]) -> Trial | None:
    """The fastest of what is right on all machines, by the geometric mean of its times there."""
    common = [choice for choice in machines[0] if all(own.get(choice) and own[choice].seconds for own in machines)]
    return tuned.fastest(
        replace(machines[0][choice], seconds=geometric_mean([own[choice].seconds or 0.0 for own in machines])) for choice in common
    )


def _write(file: Path, text: str) -> None:
    try:
        disk.replace(file, text)
    except OSError as error:
        raise ProblemError(f"{file}: expected a file that can be written, but {error}") from error
