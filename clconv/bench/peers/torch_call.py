"""A PyTorch function, or its gradients, run again and again on the CPU or with CUDA: what the peers from PyTorch share."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from clconv.arrays import NumpyArray
from clconv.bench.call import NEEDS
from clconv.bench.peers.peer import Task

Run: TypeAlias = Callable[[], Sequence[torch.Tensor]]

DEVICES = {"cpu": "cpu", "gpu": "cuda"}

WAIT = 200_000
"""Clock cycles, about 0.1 ms, for which the GPU is kept busy while the host hands over a call."""


class TorchCall:
    """A task, prepared: `function` takes the tensors of `operands` by name and returns the output. Has been run once.

    Operands are on the device. A backward's forward has been done and its graph is kept, so that gradients alone are timed.
    """

    def __init__(self, task: Task, function: Callable[..., torch.Tensor], operands: Sequence[str], *, benchmark: bool = False) -> None:
        self._task, self._function = task, function
        needs = NEEDS[task.which]
        self._operands = operands
        self._wanted = [name for name in operands if needs is None or name in needs]
        self._benchmark = benchmark
        self._seconds = _cuda_seconds if task.kind == "gpu" else _host_seconds
        with self._settings():
            self._runs = [self._bring(arrays) for arrays in task.inputs]
        self.timed(0)

    def _bring(self, arrays: Mapping[str, NumpyArray]) -> Run:
        tensors = {name: self._tensor(arrays[name]).requires_grad_(name in self._wanted) for name in self._operands}
        if self._task.which == "forward":
            return lambda: [self._function(**tensors)]
        wanted, grad_output = [tensors[name] for name in self._wanted], self._tensor(arrays["grad_output"])
        return partial(torch.autograd.grad, self._function(**tensors), wanted, grad_output, retain_graph=True)

    def _tensor(self, array: NumpyArray) -> torch.Tensor:
        """On the task's device. PyTorch and NumPy know each other's bfloat16 only as 16 bits."""
        bits = array.view(np.int16) if array.dtype.name == "bfloat16" else array
        return torch.from_numpy(bits).view(getattr(torch, array.dtype.name)).to(DEVICES[self._task.kind])

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """PyTorch's global settings as the task wants them; before and after a call they are as the user has them."""
        tf32 = self._task.precision == "tf32"
        switches = ((torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32"), (torch.backends.cudnn, "benchmark"))
        threads, before = torch.get_num_threads(), [getattr(owner, name) for owner, name in switches]
        try:
            torch.set_num_threads(self._task.threads)
            _switch(switches, (tf32, tf32, self._benchmark))
            yield
        finally:
            _switch(switches, before)
            torch.set_num_threads(threads)

    def results(self) -> dict[str, NumpyArray]:
        """What it makes of the first inputs, by name."""
        names = ["output"] if self._task.which == "forward" else [f"grad_{name}" for name in self._wanted]
        with self._settings():
            return {name: _array(tensor) for name, tensor in zip(names, self._runs[0](), strict=True)}

    def timed(self, number: int) -> float:
        """Seconds of a run."""
        with self._settings():
            return self._seconds(self._runs[number % len(self._runs)])

    def memory(self) -> int | None:
        """What a run takes from PyTorch's allocator while it works, and gives back when it returns its results."""
        if self._task.kind == "cpu":
            return None
        with self._settings():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            results = self._runs[0]()
            torch.cuda.synchronize()
            extra = int(torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated())
        del results  # until here its bytes count as the results'
        return extra


def refusal(kind: str) -> str | None:
    """Why PyTorch can't run on this kind of device; None if it can."""
    if kind == "gpu" and not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no CUDA device"
    return None


def convolution_backend(task: Task) -> str:
    """What PyTorch does the ordinary convolution of a task's layer by, in its own words: "Mkldnn", "Cudnn", "Slow2d", ..."""
    layer, groups = task.layer, task.layer.problem().groups
    options = {"dtype": getattr(torch, task.dtype), "device": DEVICES[task.kind]}
    image, weight = (torch.empty(shape, **options) for shape in (layer.input, layer.weight))
    steps = [layer.stride] * 2, [layer.padding] * 2, [layer.dilation] * 2
    backend = torch._C._select_conv_backend(image, weight, None, *steps, False, [0, 0], groups, None)
    return str(backend).rpartition(".")[2]


def _switch(switches: Sequence[tuple[Any, str]], values: Sequence[bool]) -> None:
    for (owner, name), value in zip(switches, values, strict=True):
        setattr(owner, name, value)


def _array(tensor: torch.Tensor) -> NumpyArray:
    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    array: NumpyArray = tensor.detach().to("cpu", wide).numpy()
    return array


def _host_seconds(run: Run) -> float:
    """By the host's clock; the results are let go afterwards."""
    start = time.perf_counter()
    results = run()
    seconds = time.perf_counter() - start
    del results
    return seconds


def _cuda_seconds(run: Run) -> float:
    """By events around the run.

    The GPU waits in front of the first one. Otherwise that would be reached at once, and the time that the host takes to launch the
    first kernel would count: it doesn't in this library's device times, either.
    """
    cuda: Any = torch.cuda  # not all of it is typed
    start, end = (cuda.Event(enable_timing=True) for _ in range(2))
    cuda.synchronize()
    cuda._sleep(WAIT)
    start.record()
    results = run()
    end.record()
    end.synchronize()
    del results
    return 1e-3 * float(start.elapsed_time(end))
