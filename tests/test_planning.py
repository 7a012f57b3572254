"""Every schedule of every variant, on devices that aren't here, against what the device and the problem allow. Nothing runs."""

import re
from collections.abc import Iterator
from math import prod

import numpy as np
import pytest
from planning import DEVICES, PASSES, SHAPES, Planned, launches, needs_of, plans, requests
from rendered import rendered

from clconv.device import Device
from clconv.errors import UnsupportedError
from clconv.problem import Problem
from clconv.schedule import Fill, Launch, Request, Step, accumulator_bytes
from clconv.tuning import choose, refusal

MIB = 1 << 20

across_devices = pytest.mark.parametrize("fake", DEVICES.values(), ids=DEVICES)
across_passes = pytest.mark.parametrize("which", PASSES)


def _all(which: str, device: Device) -> Iterator[tuple[str, Planned]]:
    """Every tile for all gradients of every problem; every set of gradients with the default tile."""
    for name, problem in SHAPES.items():
        whole, *rest = requests(which, problem)
        for plan in (*plans(which, [whole], device), *plans(which, rest, device, all_tiles=False)):
            yield f"{which} {plan.variant.name} ({plan.tile}) of {name}, needs {sorted(plan.request.needs)}", plan


def _operands(plan: Planned) -> dict[str, str]:
    """Which buffers the caller brings, with their element types."""
    problem = plan.request.problem
    types = {name: problem.dtype_of(name) for name in problem.operands()}
    return types if plan.which == "forward" else types | {"grad_output": problem.dtype}


def _results(plan: Planned) -> set[str]:
    return {"output"} if plan.which == "forward" else {f"grad_{name}" for name in plan.request.needs}


@across_devices
@across_passes
def test_launches_fit_the_device(which: str, fake: Device) -> None:
    planned = 0
    for what, plan in _all(which, fake):
        for launch in launches(plan.schedule):
            assert all(size > 0 for size in launch.global_size), f"{what}: {launch}"
            assert all(size < 1 << 31 for size in launch.global_size[1:]), f"{what}: kernels take these indices as int in {launch}"
            if launch.local_size is not None:
                assert len(launch.local_size) == len(launch.global_size) <= 3, f"{what}: {launch}"
                assert all(size % local == 0 for size, local in zip(launch.global_size, launch.local_size, strict=True)), f"{what}: {launch}"
                assert prod(launch.local_size) <= fake.max_work_group, f"{what}: {launch}"
                assert all(local <= most for local, most in zip(launch.local_size, fake.max_work_items, strict=False)), f"{what}: {launch}"
        planned += 1
    assert planned


@across_devices
@across_passes
def test_launches_fit_their_kernels(which: str, fake: Device) -> None:
    """Buffers and scalars are the kernel's parameters in order, the work-group is the required one, local memory is there."""
    for what, plan in _all(which, fake):
        for launch in launches(plan.schedule):
            source = rendered(launch.kernel)
            buffers, scalars = source.parameters[: len(launch.buffers)], source.parameters[len(launch.buffers) :]
            assert all(parameter.buffer for parameter in buffers), f"{what}: {launch}"
            types = [{"int32": "int", "int64": "long"}[np.dtype(type(scalar)).name] for scalar in launch.scalars]
            assert types == [parameter.type for parameter in scalars], f"{what}: {launch}"
            assert source.local_memory <= fake.local_memory, f"{what}: {source.local_memory} bytes of local memory in {launch}"
            if source.work_group is not None:
                local = launch.local_size or (1,)
                assert local + (1,) * (3 - len(local)) == source.work_group, f"{what}: {launch}"


def _accesses(step: Step) -> Iterator[tuple[str, bool, str]]:
    """Buffers of a step, whether it may write them, and the element type that it takes them for."""
    if isinstance(step, Fill):
        yield step.buffer, True, ""
    else:
        for name, parameter in zip(step.buffers, rendered(step.kernel).parameters, strict=False):
            yield name, parameter.written, parameter.type


@across_devices
@across_passes
def test_buffers_are_known_and_written_before_they_are_read(which: str, fake: Device) -> None:
    for what, plan in _all(which, fake):
        operands, schedule = _operands(plan), plan.schedule
        temporaries = {**schedule.temporaries, **schedule.kept}
        assert all(size > 0 for size in temporaries.values()), f"{what}: {temporaries}"
        assert not set(temporaries) & (set(operands) | _results(plan)), f"{what}: {sorted(temporaries)}"
        written: set[str] = set()
        for step in (*schedule.prepare, *schedule.steps):
            for name, writes, _ in _accesses(step):
                assert name in {*operands, *temporaries, *_results(plan)}, f"{what}: unknown buffer {name} in {step}"
                assert not (writes and name in operands), f"{what}: operand {name} is written by {step}"
                assert writes or name in operands or name in written, f"{what}: {name} is read by {step} before anything wrote it"
                written |= {name} if writes else set()
        assert written == {*temporaries, *_results(plan)}, f"{what}: {written}"
        prepared = {name for step in schedule.prepare for name, *_ in _accesses(step)}
        assert prepared <= {"weight", *schedule.kept}, f"{what}: prepare may depend on the weight alone, uses {prepared}"


_ELEMENTS = {"float16": "half", "bfloat16": "ushort", "float32": "float", "float64": "double"}


@across_devices
@across_passes
def test_operands_are_read_as_what_they_are(which: str, fake: Device) -> None:
    for what, plan in _all(which, fake):
        operands = _operands(plan)
        results = {name: plan.request.problem.dtype_of(name.removeprefix("grad_")) for name in _results(plan)}
        for launch in launches(plan.schedule):
            for name, _, element in _accesses(launch):
                expected = _ELEMENTS[(operands | results)[name]] if name in operands | results else element
                assert element == expected, f"{what}: {name} is {expected}, {launch.kernel.name} takes it for {element}"


def _elements(plan: Planned, launch: Launch) -> dict[str, int]:
    """Number of elements of each buffer of a launch."""
    problem = plan.request.problem
    shapes = {name: prod(shape) for name, shape in problem.shapes().items()}
    shapes |= {f"grad_{name}": count for name, count in shapes.items()}
    made = {**plan.schedule.temporaries, **plan.schedule.kept}
    return {name: made[name] // accumulator_bytes(problem) if name in made else shapes[name] for name in launch.buffers}


@across_devices
@across_passes
def test_indices_are_wide_where_a_buffer_is(which: str, fake: Device) -> None:
    for what, plan in _all(which, fake):
        for launch in launches(plan.schedule):
            largest = max(_elements(plan, launch).items(), key=lambda item: item[1])
            if largest[1] >= 1 << 31:
                assert dict(launch.kernel.arguments)["wide"], f"{what}: {launch.kernel.name} counts {largest} in 32 bits"


def _bound(problem: Problem, packed: int, deterministic: bool) -> float:
    """The workspace that the library allows itself."""
    image = prod(problem.shapes()["input"]) * accumulator_bytes(problem)
    return (2 if deterministic else 1) * (1.25 * 2 * image + packed + 32 * MIB)


def _packed(*made: dict[str, int]) -> int:
    return sum(size for sizes in made for name, size in sizes.items() if name.startswith("packed_"))


@across_devices
@across_passes
def test_workspace_is_bounded(which: str, fake: Device) -> None:
    for what, plan in _all(which, fake):
        schedule, problem = plan.schedule, plan.request.problem
        assert all(name.startswith("packed_") for name in schedule.kept), f"{what}: what is kept is packed weights: {schedule.kept}"
        packed = _packed({**schedule.temporaries, **schedule.kept})
        bound = _bound(problem, packed, plan.request.deterministic)
        used = {name: f"{size / MIB:.1f} MiB" for name, size in {**schedule.temporaries, **schedule.kept}.items()}
        assert schedule.workspace_bytes <= bound, f"{what}: {used}, allowed {bound / MIB:.1f} MiB"


@across_devices
@pytest.mark.parametrize("deterministic", [False, True], ids=["", "deterministic"])
def test_workspace_of_a_whole_backward_call_is_bounded(fake: Device, deterministic: bool) -> None:
    for name, problem in SHAPES.items():
        if problem.accumulator == "float64" and not fake.fp64:
            continue
        chosen = [choose(which, Request(problem, needs_of(which, problem), deterministic), fake) for which in PASSES if which != "forward"]
        packed = sum(_packed({**schedule.temporaries, **schedule.kept}) for schedule in chosen)
        used = sum(schedule.workspace_bytes for schedule in chosen)
        assert used <= _bound(problem, packed, deterministic), f"{name}: {used / MIB:.1f} MiB on {fake.name}"


@across_devices
@across_passes
def test_tiles_are_distinct_and_named_in_the_schedule(which: str, fake: Device) -> None:
    for name, problem in SHAPES.items():
        for request in requests(which, problem):
            for variant in PASSES[which]:
                if refusal(variant, request, fake) is None:
                    tiles = variant.tiles(request, fake)
                    assert tiles and len(set(tiles)) == len(tiles), f"{which} {variant.name} of {name}: {tiles}"
                    schedule = variant.schedule(request, fake, tiles[-1])
                    assert (schedule.variant, schedule.tile) == (variant.name, tiles[-1])


@across_devices
@across_passes
def test_refusals_are_one_sentence(which: str, fake: Device) -> None:
    for problem in SHAPES.values():
        for request in requests(which, problem):
            for variant in PASSES[which]:
                reason = refusal(variant, request, fake)
                if reason is not None:
                    assert re.fullmatch(r"[^\s.;][^\n;]{8,120}[^\s.;]", reason), f"{which} {variant.name}: {reason!r}"
                    assert ". " not in reason, f"{which} {variant.name}: {reason!r}"


@across_devices
@across_passes
def test_every_problem_finds_a_variant(which: str, fake: Device) -> None:
    for problem in SHAPES.values():
        for request in requests(which, problem):
            if problem.accumulator == "float64" and not fake.fp64:
                with pytest.raises(UnsupportedError, match=f"{which} on {fake.name}.*cl_khr_fp64"):
                    choose(which, request, fake)
            else:
                assert launches(choose(which, request, fake))


def test_variants_have_names_of_their_own() -> None:
    for variants in PASSES.values():
        names = [variant.name for variant in variants]
        assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)
