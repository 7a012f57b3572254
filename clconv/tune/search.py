"""The search itself: which candidates of which passes and layers are to be tried, and one after another until all have been."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clconv import tuned, tuning
from clconv.bench.call import Job
from clconv.device import Device
from clconv.source import kernels_digest
from clconv.tune.process import Lost, Worker
from clconv.tune.ranking import cost
from clconv.tune.worker import encoded, request_of
from clconv.tuned import Choice, Key, Machine, Trial

_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Task:
    """A pass of a layer on a device, and the candidates that are to be tried, in this order.

    `default` is what would be chosen without any trial.
    """

    job: Job
    device: Device
    default: Choice
    choices: tuple[Choice, ...]

    @property
    def key(self) -> Key:
        """What its trials hold for."""
        return Key.of(self.job.which, request_of(self.job))

    @property
    def machine(self) -> Machine:
        """Where they hold."""
        return Machine.of(self.device)

    def __str__(self) -> str:
        return f"{self.job.layer.name} {self.job.which}"


def tasks(jobs: Sequence[Job], device: Device, top: int | None, again: bool = False) -> list[Task]:
    """What is to be done for jobs on a device: the default and the most promising, `top` in all (None: all candidates).

    What was tried on this machine with the same kernels is left out, unless it is to be tried again; so are jobs that no variant can do,
    and those for which another's trials hold.
    """
    tried = {} if again else tuned.latest(trial for trial in tuned.read(tuned.user_file()) if trial.kernels == kernels_digest())
    found: dict[Key, Task] = {}
    for job in jobs:
        ranked = ranking(job, device)[:top]
        if ranked and (key := Key.of(job.which, request_of(job))) not in found:
            done = tried.get((Machine.of(device), key), {})
            found[key] = Task(job, device, ranked[0], tuple(choice for choice in ranked if choice not in done))
    return list(found.values())


def ranking(job: Job, device: Device) -> list[Choice]:
    """All candidates: the default, then the others by their predicted time, and where it is the same in the variants' order."""
    request = request_of(job)
    candidates = list(tuning.candidates(job.which, request, device))
    others = sorted(candidates[1:], key=lambda candidate: cost(job.which, request, device, *candidate))
    return [Choice(variant.name, str(tile)) for variant, tile in (*candidates[:1], *others)]


def search(tasks: Sequence[Task], worker: Worker) -> Iterator[tuple[Task, Trial]]:
    """Try all candidates; each trial is in the user's file before it is handed on."""
    for task in tasks:
        if task.choices:
            with suppress(Lost):  # then each candidate is built when it is tried, and the one that was to blame is found
                worker.ask({"do": "build", **encoded(task.job, task.device, task.choices)})
        for choice in task.choices:
            trial = _tried(task, choice, worker)
            tuned.append([trial])
            yield task, trial


def _tried(task: Task, choice: Choice, worker: Worker) -> Trial:
    """A trial; if the default's time is known, in turns with that, and in its terms: a machine may be faster now than it was then."""
    default = None if choice == task.default else _default_seconds(task)
    try:
        answer = worker.ask({"do": "measure", **encoded(task.job, task.device, [choice] if default is None else [choice, task.default])})
    except Lost as lost:
        answer = {"verdict": "lost", "reason": str(lost)}
    if answer["verdict"] == "failed":
        worker.close()  # a context in which a kernel failed may be lost for good
    seconds = answer.get("seconds")
    if seconds and default and "beside" in answer:
        seconds *= default / answer["beside"]
    return Trial(
        task.machine, task.key, choice, answer["verdict"], seconds, answer.get("reason", "")[:_LONGEST_REASON],
        task.job.layer.name, choice == task.default, kernels_digest(),
    )  # fmt: skip


def _default_seconds(task: Task) -> float | None:
    """What the default took when it was tried itself."""
    trials = tuned.latest(trial for trial in tuned.read(tuned.user_file()) if trial.kernels == kernels_digest())
    trial = trials.get((task.machine, task.key), {}).get(task.default)
    return trial.seconds if trial else None
