"""Plan: what is decided once for repeated calls of one shape."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import pyopencl as cl
import pyopencl.array as cla

from clconv import tuning
from clconv.arrays import Door, common_queue, looks_of, share_memory
from clconv.device import Device
from clconv.errors import ProblemError
from clconv.execute import Runner, Workspace, copy_of, run
from clconv.geometry import flag
from clconv.gradients import Gradients
from clconv.kept import DEPENDS_ON, Kept
from clconv.numpy_arrays import NumpyDoor
from clconv.opencl_arrays import OpenCLDoor, is_plain
from clconv.operands import check, check_apart, check_needs, outs_of
from clconv.problem import OPERANDS, Problem
from clconv.queues import queue_for
from clconv.schedule import Fill
from clconv.schedules import Schedules


class Plan:
    """A deformable convolution of one shape on one device, for repeated calls.

    Parameters
    ----------
    input_shape : tuple of int
        (N, C, H, W).
    weight_shape : tuple of int
        (O, C/groups, KH, KW).
    dtype : {"float32", "float16", "bfloat16", "float64"}
        Element type of all arrays; offset and mask may differ where `offset_dtype`, `mask_dtype` say "float32" beside half data.
    offset_groups : int or None
        Groups of channels that share offsets; None is an ordinary convolution.
    mask, bias : bool
        Whether calls bring them.
    stride, padding, dilation, convention, nonfinite, precision
        As in `deform_conv2d`.
    deterministic : bool
        Bit-identical gradients from run to run.
    device : None, str, pyopencl.Device or Device
        Where to run, see `clconv.device.resolve`.
    queue : pyopencl.CommandQueue, optional
        Queue to use; pyopencl arrays must be on it. By default one that the library keeps for the device.
    variants : mapping, optional
        Name of the variant for "forward", "backward_data" or "backward_weight", where it shouldn't be chosen automatically.

    Raises
    ------
    ProblemError
        The arguments don't fit together.
    UnsupportedError
        The device can't do it.

    Examples
    --------
    >>> plan = clconv.Plan((1, 64, 90, 160), (64, 64, 3, 3), padding=1, mask=True)
    >>> plan.set_weight(weight)
    >>> output = plan.forward(input, offset, mask=mask)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        weight_shape: Sequence[int],
        *,
        dtype: str = "float32",
        offset_groups: int | None = 1,
        mask: bool = False,
        bias: bool = False,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        convention: str = "torchvision",
        nonfinite: str = "propagate",
        precision: str | None = None,
        deterministic: bool = False,
        device: Any = None,
        queue: cl.CommandQueue | None = None,
        offset_dtype: str | None = None,
        mask_dtype: str | None = None,
        variants: Mapping[str, str] | None = None,
    ) -> None:
        problem = Problem.create(
            input_shape,
            weight_shape,
            offset_groups=offset_groups,
            mask=mask,
            bias=bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            dtypes={"input": str(dtype), "offset": offset_dtype or str(dtype), "mask": mask_dtype or str(dtype)},
            convention=convention,
            nonfinite=nonfinite,
            precision=precision,
        )
        self._prepare(problem, deterministic, queue_for(device, queue), Workspace(keep=True), {} if variants is None else variants)

    def _prepare(
        self, problem: Problem, deterministic: bool, queue: cl.CommandQueue, workspace: Workspace, variants: Mapping[str, str]
    ) -> None:
        self.problem = problem
        self.deterministic = flag(deterministic, "deterministic")
        self.queue = queue
        self.device = Device.of(queue.device)
        self._schedules = Schedules(problem, self.deterministic, self.device, variants)
        self._schedules.forward()
        self._runner = Runner(queue, workspace)
        self._kept = Kept(self._runner)
        self._weight: dict[str, Any] = {}
        self._admitted: dict[str, tuple[Any, bool, Callable[[], Door]]] = {}

    @property
    def workspace_bytes(self) -> int:
        """Device memory beyond operands and results that a forward or a whole backward call takes at most, in bytes."""
        return max(self.workspace_of(()), self.workspace_of(None))

    def workspace_of(self, needs: Any, keep: bool = False) -> int:
        """The same for a forward call (`needs` empty), or for a backward call with these `needs`.

        With `keep`, of a forward that keeps, or of a backward after it together with what was kept.
        """
        wanted = check_needs(needs, self.problem)
        forward = self._schedules.forward(keep).workspace_bytes if keep or not wanted else 0
        return forward + (self._schedules.backward(wanted, keep).workspace_bytes if wanted else 0)

    def choices(self) -> dict[str, str]:
        """For "forward", "backward_data" and "backward_weight": the variant with its tile in brackets."""
        schedules = {"forward": self._schedules.forward()}
        for which, gradients in tuning.GRADIENTS.items():
            schedules[which] = self._schedules.of(which, gradients & frozenset(self.problem.operands()))
        return {which: f"{schedule.variant} ({schedule.tile})" for which, schedule in schedules.items()}

    def __repr__(self) -> str:
        passes = ", ".join(f"{which}={chosen}" for which, chosen in self.choices().items())
        shapes = self.problem.shapes()
        return f"Plan(input {shapes['input']}, weight {shapes['weight']}, {self.problem.dtype}, on {self.device.label}: {passes})"

    def set_weight(self, weight: Any) -> None:
        """Keep a copy of `weight` on the device, so that calls need not bring it and don't prepare it again.

        Parameters
        ----------
        weight : ndarray or pyopencl.array.Array or None
            Shape (O, C/groups, KH, KW). None forgets the weight.
        """
        if weight is not None:
            check(self.problem, {"weight": weight})
        self._weight = {}
        self._kept.forget()
        if weight is None:
            return
        door = self._door({"weight": weight})()
        schedule = self._schedules.forward()
        try:
            copied, events = copy_of(self.queue, "weight", door.read("weight", weight), self.problem.bytes_of("weight"), door.events)
            prepared = self._runner.workspace.allocate(self.queue, schedule.kept)
            run(schedule.prepare, self.queue, {"weight": copied, **prepared}, events)
        finally:
            self.queue.finish()  # the caller's weight may be freed as soon as this returns
        self._weight = {"weight": copied, **prepared}

    def forward(
        self,
        input: Any,
        offset: Any = None,
        weight: Any = None,
        bias: Any = None,
        mask: Any = None,
        *,
        out: Any = None,
        keep: Any = False,
    ) -> Any:
        """The output, shape (N, O, OH, OW); operands as in `deform_conv2d`, `weight` unless `set_weight` was called.

        With `keep`, what the backward needs too stays on the device: the input in the kernels' order, packed weights and room for sums, and
        where kernels read them samples, all channels at all taps of each output pixel, if few channels share an offset and that is no more
        than an eighth of the device's memory, or 16 bytes for each sample, made of offset and mask, or both. The next backward with the
        same arrays takes it and is faster: `input`, `offset`, `mask` and `weight` must not be written in between. One with other arrays
        makes its own. It is released by the backward that took it, by the next forward or `set_weight`; until then it comes on top of
        `workspace_bytes` (see `workspace_of`), and these arrays are held.
        """
        keep = flag(keep, "keep")
        operands = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
        door, unbatched = self._admit("forward", {**operands, "out": out})
        buffers = self._read(door, operands)
        buffers["output"] = door.write("output", self._shape("output", unbatched), self.problem.dtype, out)
        if keep and not door.in_place("output") and share_memory(out, *map(operands.get, DEPENDS_ON)):
            keep = False  # what it is made of is overwritten
        held = {**operands, "weight": weight if weight is not None else buffers["weight"]} if keep else None
        start = partial(self._kept.run_forward, self._schedules.forward(keep), held)
        return self._finish(door, start, buffers, ("output",))["output"]

    def backward(
        self,
        grad_output: Any,
        input: Any,
        offset: Any = None,
        weight: Any = None,
        bias: Any = None,
        mask: Any = None,
        *,
        needs: Any = None,
        out: Any = None,
    ) -> Gradients:
        """The gradients that `needs` names (None: all that the problem has); operands, `needs` and `out` as in `deform_conv2d_backward`."""
        operands = {"input": input, "offset": offset, "weight": weight, "mask": mask}
        wanted = check_needs(needs, self.problem)
        outs = outs_of(out, wanted)
        door, unbatched = self._admit("backward", {**operands, "grad_output": grad_output, "bias": bias, **outs})
        check_apart(outs)
        buffers = self._read(door, {"grad_output": grad_output, **operands})
        names = tuple(name for name in OPERANDS if name in wanted)
        for name in names:
            given = outs.get(f"out.{name}")
            buffers[f"grad_{name}"] = door.write(f"grad_{name}", self._shape(name, unbatched), self.problem.dtype_of(name), given)
        left = self._kept.take({**operands, "weight": weight if weight is not None else buffers["weight"]})
        start = partial(self._kept.run_backward, self._schedules.backward(wanted, left is not None), left)
        results = self._finish(door, start, buffers, tuple(f"grad_{name}" for name in names))
        return Gradients(**{name: results.get(f"grad_{name}") for name in OPERANDS})

    def _admit(self, which: str, arrays: Mapping[str, Any]) -> tuple[Door, bool]:
        """The door for the arrays of a call, and whether it is unbatched, after all checks; unless they look as the last ones did."""
        looks = looks_of(arrays), bool(self._weight)
        admitted, unbatched, door = self._admitted.get(which, (None, False, None))
        if door is not None and looks == admitted:
            return door(), unbatched
        unbatched = self._check(which, arrays)
        door = self._door({name: array for name, array in arrays.items() if which == "forward" or name != "bias"})
        if looks[0] is not None:
            self._admitted[which] = looks, unbatched, door
        return door(), unbatched

    def _check(self, which: str, arrays: Mapping[str, Any]) -> bool:
        unbatched = check(self.problem, arrays)
        absent = (*(("weight",) if self._weight else ()), *(("bias",) if which == "backward" else ()))
        for name in self.problem.operands():
            if arrays[name] is None and name not in absent:
                raise ProblemError(f"{name}: expected an array of shape {self.problem.shapes()[name]}, got None")
        if which == "backward" and arrays["grad_output"] is None:
            raise ProblemError("grad_output: expected an array, got None")
        return unbatched

    def _shape(self, name: str, unbatched: bool) -> tuple[int, ...]:
        shape = self.problem.shapes()[name]
        return shape[1:] if unbatched and name in ("input", "offset", "mask", "output") else shape

    def _door(self, arrays: Mapping[str, Any]) -> Callable[[], Door]:
        """What makes a call's door for arrays that have been checked, and for all that look the same."""
        given = [array for array in arrays.values() if array is not None]
        if not any(isinstance(array, cla.Array) for array in given):
            return partial(NumpyDoor, self.queue, self.device)
        common_queue(arrays, self.queue)
        return partial(OpenCLDoor, self.queue, self.device, all(map(is_plain, given)))

    def _read(self, door: Door, operands: Mapping[str, Any]) -> dict[str, Any]:
        if self.problem.nonfinite == "raise":
            self._refuse_nonfinite(door, operands)
        buffers = {name: door.read(name, array) for name, array in operands.items() if array is not None}
        return buffers if "weight" in buffers else buffers | self._weight

    def _refuse_nonfinite(self, door: Door, operands: Mapping[str, Any]) -> None:
        """An infinite offset is far outside, which is a number's business; all else must be finite."""
        for name, array in operands.items():
            position = None if array is None else door.first_nonfinite(array, infinities=name != "offset")
            if position is not None:
                what = "no NaN" if name == "offset" else "finite values"
                raise ProblemError(f"{name}: expected {what} (nonfinite='raise'), got one first at {position}")

    def _finish(
        self,
        door: Door,
        start: Callable[[dict[str, Any], list[cl.Event]], list[cl.Event]],
        buffers: dict[str, Any],
        results: tuple[str, ...],
    ) -> dict[str, Any]:
        if self.problem.batch == 0:
            empty = [Fill(f"grad_{name}", self.problem.bytes_of(name)) for name in ("weight", "bias") if f"grad_{name}" in results]
            return door.finish(run(empty, self.queue, buffers, door.events))
        try:
            return door.finish(start(buffers, door.events))
        except BaseException:
            self.queue.finish()  # kernels may still write to arrays that the error is about to free
            raise


@lru_cache(maxsize=64)
def plan_of(problem: Problem, deterministic: bool, queue: cl.CommandQueue) -> Plan:
    """A plan behind the plain functions: it keeps decisions, but no memory."""
    plan = Plan.__new__(Plan)
    plan._prepare(problem, deterministic, queue, Workspace(keep=False), {})
    return plan
