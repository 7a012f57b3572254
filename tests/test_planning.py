"""Every schedule of every variant, on devices that aren't here, against what the device and the problem allow. Nothing runs."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from planning import DEVICES, LAYERS, SHAPES, SUBSETS, Planned, launches, needs_of, plans, problem_of, requests
from rendered import rendered

from clconv.bench.layers import suite
from clconv.device import Device
from clconv.errors import UnsupportedError
from clconv.layout import kept_plans, kept_samples
from clconv.problem import Problem
from clconv.schedule import Fill, Launch, Request, Step, Variant, accumulator_bytes, together
from clconv.tuning import PASSES, choose, refusal

MIB = 1 << 20

across_devices = pytest.mark.parametrize("fake", DEVICES.values(), ids=DEVICES)
across_passes = pytest.mark.parametrize("which", PASSES)


def _requests(which: str) -> Iterator[tuple[str, Request]]:
    """All gradients of every problem, bit-identical or not; every set of gradients of some."""
    for name, problem in SHAPES.items():
        yield from ((name, request) for request in requests(which, problem, subsets=name in SUBSETS))


def launches_fit_the_device(plan: Planned) -> None:
    for launch in launches(plan.schedule):
        assert plan.device.loop_limit is None or launch.turns <= plan.device.loop_limit, launch
        assert all(size > 0 for size in launch.global_size), launch
        assert all(size < 1 << 31 for size in launch.global_size[1:]), f"kernels take these indices as int: {launch}"
        groups = [size // local for size, local in zip(launch.global_size, launch.local_size or launch.global_size, strict=True)]
        assert all(count < 1 << 16 for count in groups[1:]), f"NVIDIA's driver takes no more work-groups there: {launch}"
        if launch.local_size is not None:
            assert len(launch.local_size) == len(launch.global_size) <= 3, launch
            assert all(size % local == 0 for size, local in zip(launch.global_size, launch.local_size, strict=True)), launch
            assert prod(launch.local_size) <= plan.device.max_work_group, launch
            assert all(local <= most for local, most in zip(launch.local_size, plan.device.max_work_items, strict=False)), launch


def launches_fit_their_kernels(plan: Planned) -> None:
    """Buffers and scalars are the kernel's parameters in order, the work-group is the required one, local memory is there."""
    for launch in launches(plan.schedule):
        source = rendered(launch.kernel)
        buffers, scalars = source.parameters[: len(launch.buffers)], source.parameters[len(launch.buffers) :]
        assert all(parameter.buffer for parameter in buffers), launch
        types = [{"int32": "int", "int64": "long"}[np.dtype(type(scalar)).name] for scalar in launch.scalars]
        assert types == [parameter.type for parameter in scalars], launch
        assert source.local_memory <= plan.device.local_memory, f"{source.local_memory} bytes of local memory in {launch}"
        if source.work_group is not None:
            local = launch.local_size or (1,)
            assert local + (1,) * (3 - len(local)) == source.work_group, launch


def _operands(plan: Planned) -> dict[str, str]:
    """Which buffers the caller brings, with their element types."""
    problem = plan.request.problem
    types = {name: problem.dtype_of(name) for name in problem.operands()}
    return types if plan.which == "forward" else types | {"grad_output": problem.dtype}


def _left(plan: Planned) -> dict[str, int]:
    """What a backward finds that a forward has left, in bytes."""
    return {**kept_plans(plan.request), **kept_samples(plan.request, plan.device)} if plan.which != "forward" else {}


def _results(plan: Planned) -> dict[str, str]:
    problem = plan.request.problem
    return {"output": problem.dtype} if plan.which == "forward" else {f"grad_{name}": problem.dtype_of(name) for name in plan.request.needs}


def _temporaries(plan: Planned) -> dict[str, int]:
    return {**plan.schedule.temporaries, **plan.schedule.kept}


def _accesses(step: Step) -> list[tuple[str, bool]]:
    """Buffers of a step, and whether it may write them."""
    if isinstance(step, Fill):
        return [(step.buffer, True)]
    return [(name, parameter.written) for name, parameter in zip(step.buffers, rendered(step.kernel).parameters, strict=False)]


def buffers_are_known(plan: Planned) -> None:
    operands, results, temporaries = {**_operands(plan), **_left(plan)}, _results(plan), _temporaries(plan)
    assert all(size > 0 for size in temporaries.values()), temporaries
    assert not set(temporaries) & {*operands, *results}, temporaries
    for step in plan.schedule.in_order():
        for name, writes in _accesses(step):
            assert name in {*operands, *temporaries, *results}, f"unknown buffer {name} in {step}"
            assert not (writes and name in operands), f"operand {name} is written by {step}"
    prepared = {name for step in plan.schedule.prepare for name, _ in _accesses(step)}
    assert prepared <= {"weight", *plan.schedule.kept}, f"what is prepared may depend on the weight alone: {prepared}"


def buffers_are_written_before_they_are_read(plan: Planned) -> None:
    written: set[str] = set()
    for step in plan.schedule.in_order():
        for name, writes in _accesses(step):
            assert writes or name in {*_operands(plan), *_left(plan), *written}, f"{name} is read by {step} before anything wrote it"
            written |= {name} if writes else set()
    assert written == {*_temporaries(plan), *_results(plan)}, f"written: {sorted(written)}"


def operands_are_read_as_what_they_are(plan: Planned) -> None:
    elements = {"float16": "half", "bfloat16": "ushort", "float32": "float", "float64": "double"}
    types = _operands(plan) | _results(plan)
    for launch in launches(plan.schedule):
        for name, parameter in zip(launch.buffers, rendered(launch.kernel).parameters, strict=False):
            if name in types:
                assert parameter.type == elements[types[name]], f"{launch.kernel.name} takes {name} of {types[name]} for {parameter.type}"


def _elements(plan: Planned, launch: Launch) -> dict[str, int]:
    """Number of elements of each buffer of a launch."""
    problem = plan.request.problem
    counts = {name: prod(shape) for name, shape in problem.shapes().items()}
    counts |= {f"grad_{name}": count for name, count in counts.items()}
    counts |= {name: size // accumulator_bytes(problem) for name, size in {**_temporaries(plan), **_left(plan)}.items()}
    return {name: counts[name] for name in launch.buffers}


def indices_are_wide_where_a_buffer_is(plan: Planned) -> None:
    for launch in launches(plan.schedule):
        wide = {name: count for name, count in _elements(plan, launch).items() if count >= 1 << 31}
        assert not wide or dict(launch.kernel.arguments)["wide"], f"{launch.kernel.name} counts in 32 bits: {wide}"


def _packed(temporaries: Mapping[str, int]) -> int:
    return sum(size for name, size in temporaries.items() if name.startswith("packed_"))


def _bound(problem: Problem, packed: int, deterministic: bool) -> float:
    """The workspace that the library allows itself: 1.25 images and their gradients, the packed weights, and 32 MiB."""
    image = prod(problem.shapes()["input"]) * accumulator_bytes(problem)
    return (2 if deterministic else 1) * (1.25 * 2 * image + packed + 32 * MIB)


def workspace_is_bounded(plan: Planned) -> None:
    used = _temporaries(plan)
    assert all(name.startswith("packed_") for name in plan.schedule.kept), f"what is kept is packed weights: {plan.schedule.kept}"
    bound = _bound(plan.request.problem, _packed(used), plan.request.deterministic) + sum(
        size for name, size in used.items() if name.startswith("kept_")
    )
    assert plan.schedule.workspace_bytes == sum(used.values()) <= bound, f"{used}, allowed {bound:.0f} bytes"


CHECKS: tuple[Callable[[Planned], None], ...] = (
    launches_fit_the_device,
    launches_fit_their_kernels,
    buffers_are_known,
    buffers_are_written_before_they_are_read,
    operands_are_read_as_what_they_are,
    indices_are_wide_where_a_buffer_is,
    workspace_is_bounded,
)


def _failures(plan: Planned) -> Iterator[tuple[str, str]]:
    """Names and reasons of the checks that fail."""
    for check in CHECKS:
        try:
            check(plan)
        except (AssertionError, KeyError, ValueError) as error:
            yield check.__name__, f"{type(error).__name__}: {error}"


@across_devices
@across_passes
def test_schedules(which: str, fake: Device) -> None:
    """Each check's first failure, and how many schedules fail it, of the default tiles and a third of the others."""
    planned, failures = 0, dict[str, list[str]]()
    for name, request in _requests(which):
        for plan in plans(which, request, fake, every=3):
            how = f"deterministic={request.deterministic}, kept={sorted(request.kept)}"
            what = f"{plan.variant.name} ({plan.tile}) of {name}, needs {sorted(request.needs)}, {how}"
            for check, reason in _failures(plan):
                failures.setdefault(check, []).append(f"{what}: {reason}")
            planned += 1
    account = "\n".join(f"{check}: {len(found)} of {planned}, first {found[0]}" for check, found in failures.items())
    assert planned and not failures, account


@across_devices
@pytest.mark.parametrize("deterministic", [False, True], ids=["any-order", "deterministic"])
def test_workspace_of_a_whole_backward_call_is_bounded(fake: Device, deterministic: bool) -> None:
    over = {}
    for name, problem in SHAPES.items():
        if (problem.accumulator == "float32" or fake.fp64) and not _may_end(name, fake):
            asked = {which: Request(problem, needs_of(which, problem), deterministic) for which in PASSES if which != "forward"}
            chosen = [choose(which, request, fake) for which, request in asked.items()]
            call = together(chosen)
            used = call.workspace_bytes
            if used > (bound := _bound(problem, _packed({**call.temporaries, **call.kept}), deterministic)):
                over[name] = f"{used / MIB:.1f} MiB, allowed {bound / MIB:.1f} MiB"
    assert not over


@pytest.mark.parametrize("name", ["sm_90", "sm_86", "gfx90a", "dg2"])
def test_workspace_of_the_suites_is_bounded(name: str) -> None:
    """The bounds of a backward's two passes are above half of a call's: what they share makes up for it."""
    layers = [*suite("gpu9"), *suite("resnet50-dcn"), *(replace(layer, offset_groups=8) for layer in suite("resnet50-dcn"))]
    for layer in layers:
        problem = layer.problem("float32")
        call = together(
            [choose(which, Request(problem, needs_of(which, problem)), DEVICES[name]) for which in PASSES if which != "forward"]
        )
        assert call.workspace_bytes <= _bound(problem, _packed({**call.temporaries, **call.kept}), False), layer.name


def _tiles_are_distinct_and_named_in_the_schedule(variant: Variant, request: Request, fake: Device) -> bool:
    tiles = variant.tiles(request, fake)
    schedule = variant.schedule(request, fake, tiles[-1])
    return len(set(tiles)) == len(tiles) and (schedule.variant, schedule.tile) == (variant.name, tiles[-1])


def _is_one_sentence(reason: str) -> bool:
    """Which stands behind the variant's name and a colon, several with semicolons between them."""
    return re.fullmatch(r"[^\s.;][^\n;]{8,120}[^\s.;]", reason) is not None and ". " not in reason


@across_devices
@across_passes
def test_every_variant_plans_or_says_why_not_and_every_problem_finds_one(which: str, fake: Device) -> None:
    for name, request in _requests(which):
        refusals = {variant: refusal(variant, request, fake) for variant in PASSES[which]}
        for variant, reason in refusals.items():
            if reason is None:
                assert _tiles_are_distinct_and_named_in_the_schedule(variant, request, fake), f"{variant.name} of {name}, {request}"
            else:
                assert _is_one_sentence(reason), f"{variant.name} of {name}: {reason!r}"
        if request.problem.accumulator == "float64" and not fake.fp64:
            with pytest.raises(UnsupportedError, match=f"{which} on {fake.name}.*cl_khr_fp64"):
                choose(which, request, fake)
        elif _may_end(name, fake) and all(refusals.values()):
            with pytest.raises(UnsupportedError, match=f"{which} on {fake.name}.*ends the loops of a work-item after 65535 turns"):
                choose(which, request, fake)
        else:
            assert launches(choose(which, request, fake))


def _may_end(name: str, fake: Device) -> bool:
    """Whether a problem may be too much for a driver that ends long loops: large layers may."""
    return fake.loop_limit is not None and (name in LAYERS or name.startswith(("huge-", "larger-")))


def test_variants_have_names_of_their_own() -> None:
    for variants in PASSES.values():
        names = [variant.name for variant in variants]
        assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)


@pytest.mark.parametrize(("size", "share"), [((8, 8), 9), ((50, 76), 4), ((200, 304), 1)], ids=str)
def test_few_pixels_share_out_the_taps(size: tuple[int, int], share: int) -> None:
    """By as many work-groups as the device begins at once, where pixels alone don't make them."""
    request = Request(problem_of((1, 256, *size), (256, 256, 3, 3), 1, padding=1, mask=True), frozenset({"input", "offset", "mask"}))
    fake = DEVICES["sm_90"]
    variant = next(variant for variant in PASSES["backward_data"] if variant.name == "wgmma")
    tile = variant.tiles(request, fake)[0]
    assert dict(tile.sizes).get("splits", 1) == share
    launch = next(
        step for step in variant.schedule(request, fake, tile).steps if isinstance(step, Launch) and "splits" in dict(step.kernel.arguments)
    )
    work_groups = prod(launch.global_size) // prod(launch.local_size or ())
    assert launch.global_size[1] == share and (share == 1 or work_groups <= fake.compute_units)
