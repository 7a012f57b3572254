"""What every peer can be asked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from clconv.arrays import NumpyArray
from clconv.bench.layers import Layer
from clconv.errors import ClconvError


class PeerError(ClconvError, RuntimeError):
    """A peer found only when it tried that it can't do a task: names the peer and says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a peer shall do: a layer's pass ("forward", "backward", "backward_data" or "backward_weight") in a type.

    `kind` is "gpu" (CUDA) or "cpu", with this many threads. `inputs` are taken in turn: operands and grad_output, in NumPy.
    """

    layer: Layer
    which: str
    dtype: str
    precision: str
    kind: str
    threads: int
    inputs: Sequence[Mapping[str, NumpyArray]]


class Prepared(Protocol):
    """A task that is ready to run."""

    def results(self) -> dict[str, NumpyArray]:
        """What it makes of the first inputs: "output", or "grad_input" and so on, as the pass asks."""

    def timed(self, number: int) -> float:
        """Run once with inputs `number` modulo their count; seconds by CUDA events on a GPU, by the host's clock on a CPU."""

    def memory(self) -> int | None:
        """Peak bytes beyond operands and results of a run, where the system can tell."""


class Peer(Protocol):
    """A system to compare with."""

    name: str
    install: str  # what to type where it is missing
    plain: bool  # it does the ordinary convolution of the layer's shape, without offsets and mask

    def version(self) -> str:
        """Its versions, such as "torchvision 0.29.1, torch 2.14.1"; ImportError where it isn't installed."""

    def refusal(self, task: Task) -> str | None:
        """Why it can't do a task, as one sentence; None if it can."""

    def taken(self, task: Task) -> Mapping[str, NumpyArray]:
        """The first inputs, with what the peer rounds on its way to a sample rounded as it does: what its result is judged by."""
        return task.inputs[0]

    def prepare(self, task: Task) -> Prepared:
        """Bring the task to where it only has to be run, and run it once.

        Raises
        ------
        PeerError
            The system refuses it, or fails.
        """


def versions(install: str, *packages: str) -> str:
    """The versions of what a peer consists of; ImportError, with what to type, where one is missing."""
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError as error:
        raise ImportError(f"{error.name} is not installed: {install}", name=error.name) from error


@contextmanager
def attempt(name: str) -> Iterator[None]:
    """Turn whatever a peer raises, and each has exceptions of its own, into PeerError; its first line says what matters."""
    try:
        yield
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise PeerError(f"{name} fails: {reason}") from error


def unless_forward_on_cpu(name: str, task: Task) -> str | None:
    """The refusal of a system for inference that is measured on CPUs alone."""
    if task.kind != "cpu":
        return f"{name} is measured on CPUs alone"
    if task.which != "forward":
        return f"{name} has no gradients"
    return None
