"""A call of this library that is run again and again: on the device's clock and on the host's, with arrays there or here."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla

from clconv.arrays import NumpyArray
from clconv.bench.clock import believable, span
from clconv.bench.layers import Layer
from clconv.device import Device
from clconv.execute import trace
from clconv.plan import Plan
from clconv.queues import queue_for
from clconv.tuning import GRADIENTS

NEEDS: dict[str, frozenset[str] | None] = {"forward": frozenset(), "backward": None, **GRADIENTS}
"""Which gradients each pass of a benchmark asks for; None is all."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure of this library on one device.

    `variant` is the name of one, "" for the library's choice. With `fixed_weight` calls bring no weight: `Plan.set_weight` had the first
    input's.
    """

    layer: Layer
    which: str
    dtype: str = "float32"
    precision: str = ""
    deterministic: bool = False
    variant: str = ""
    fixed_weight: bool = False

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Job":
        """A job from plain values, as `dataclasses.asdict` gives them."""
        return cls(**{**fields, "layer": Layer.from_json(fields["layer"])})

    @property
    def needs(self) -> frozenset[str] | None:
        """Gradients that the call asks for, of those that the layer has; None is all."""
        wanted = NEEDS[self.which]
        return None if wanted is None else wanted & frozenset(self.layer.problem().operands())

    @property
    def flops(self) -> int:
        """Floating-point operations of the products: 2 for each multiply-add, twice the forward's for a whole backward."""
        return self.layer.problem().flops * (2 if self.which == "backward" else 1)

    @property
    def bytes(self) -> int:
        """Least traffic: each operand read once, each result written once."""
        problem = self.layer.problem(self.dtype)
        operands = sum(problem.bytes_of(name) for name in problem.operands())
        if self.which == "forward":
            return operands + problem.bytes_of("output")
        needs = frozenset(problem.operands()) if self.needs is None else self.needs
        return operands + problem.bytes_of("output") + sum(problem.bytes_of(name) for name in needs)

    def plan(self, queue: cl.CommandQueue) -> Plan:
        """A plan for it."""
        layer = self.layer
        passes = (self.which,) if self.which in ("forward", *GRADIENTS) else tuple(GRADIENTS)
        return Plan(
            layer.input, layer.weight, dtype=self.dtype, offset_groups=layer.offset_groups, mask=layer.mask, bias=layer.bias,
            **layer.options, precision=self.precision or None, deterministic=self.deterministic, queue=queue,
            variants=dict.fromkeys(passes, self.variant) if self.variant else {},
        )  # fmt: skip


class Call:
    """A job with its inputs, which are taken in turn."""

    def __init__(self, job: Job, device: Device, inputs: Sequence[Mapping[str, NumpyArray]]) -> None:
        self._job = job
        self._inputs = [_operands(job, arrays) for arrays in inputs]
        queue = queue_for(device, None)
        profiling = cl.CommandQueue(queue.context, queue.device, properties=cl.command_queue_properties.PROFILING_ENABLE)
        self.plan = job.plan(queue)
        self._profiled = job.plan(profiling)
        if job.fixed_weight:
            self.plan.set_weight(inputs[0]["weight"])
            self._profiled.set_weight(inputs[0]["weight"])
        self._there = [{name: cla.to_device(queue, array) for name, array in arrays.items()} for arrays in self._inputs]
        self._out_there = self._out(lambda shape, dtype: cla.empty(queue, shape, dtype))
        self._out_profiled = self._out(lambda shape, dtype: cla.empty(profiling, shape, dtype))
        self._out_here = self._out(lambda shape, dtype: np.zeros(shape, dtype))
        self.kernels: dict[str, list[float]] = {}

    def _out(self, make: Callable[[Any, Any], Any]) -> dict[str, Any]:
        """Where results go: the same place each time."""
        problem, needs = self.plan.problem, self._job.needs
        if self._job.which == "forward":
            return {"out": make(problem.shapes()["output"], problem.dtype)}
        wanted = frozenset(problem.operands()) if needs is None else needs
        return {"needs": needs, "out": {name: make(problem.shapes()[name], problem.dtype_of(name)) for name in wanted}}

    def _run(self, plan: Plan, arrays: Mapping[str, Any], out: Mapping[str, Any]) -> Any:
        return (plan.forward if self._job.which == "forward" else plan.backward)(**arrays, **out)

    @property
    def memory(self) -> int:
        """Bytes on the device beyond operands and results."""
        return self.plan.workspace_of(self._job.needs)

    def there(self) -> dict[str, Any]:
        """The first inputs, on the device."""
        return dict(self._there[0])

    def results(self) -> dict[str, NumpyArray]:
        """What it makes of the first inputs, by name."""
        result = self._run(self.plan, self._inputs[0], self._out_here)
        if self._job.which == "forward":
            return {"output": result}
        return {f"grad_{name}": array for name, array in result._asdict().items() if array is not None}

    def device(self, number: int) -> float:
        """Seconds from the first kernel's start to the last one's end, arrays on the device; notes each kernel's.

        The host's clock where the driver's isn't to be believed.
        """
        arrays = {name: array.with_queue(self._profiled.queue) for name, array in self._there[number % len(self._there)].items()}
        out = self._out_profiled
        start = time.perf_counter()
        with trace() as launched:
            self._run(self._profiled, arrays, out)
        self._profiled.queue.finish()
        host = time.perf_counter() - start
        if not believable(launched, host):
            return host
        by_name: dict[str, float] = {}
        for name, event in launched:
            by_name[name] = by_name.get(name, 0.0) + 1e-9 * (event.profile.end - event.profile.start)
        for name, seconds in by_name.items():
            self.kernels.setdefault(name, []).append(seconds)
        return span(launched)

    def call(self, number: int) -> float:
        """Host seconds until a call with arrays on the device is done."""
        start = time.perf_counter()
        self._run(self.plan, self._there[number % len(self._there)], self._out_there)
        self.plan.queue.finish()
        return time.perf_counter() - start

    def enqueue(self, number: int) -> float:
        """Host seconds until a call with arrays on the device returns; its work is waited for afterwards."""
        start = time.perf_counter()
        self._run(self.plan, self._there[number % len(self._there)], self._out_there)
        seconds = time.perf_counter() - start
        self.plan.queue.finish()
        return seconds

    def numpy(self, number: int) -> float:
        """Host seconds of a call with NumPy arrays, transfers included."""
        start = time.perf_counter()
        self._run(self.plan, self._inputs[number % len(self._inputs)], self._out_here)
        return time.perf_counter() - start


def _operands(job: Job, arrays: Mapping[str, NumpyArray]) -> dict[str, NumpyArray]:
    left_out = {"grad_output" if job.which == "forward" else "bias"}  # no gradient depends on the bias
    if job.fixed_weight:
        left_out.add("weight")
    return {name: array for name, array in arrays.items() if name not in left_out}
