"""What a forward leaves to a backward, on devices that aren't here. Nothing runs."""

from dataclasses import replace

import pytest
from planning import DEVICES, problem_of

from clconv.kept import going_ahead, relieved
from clconv.nvidia import UNITS
from clconv.problem import DTYPES
from clconv.schedule import KEPT, KEPT_PLANS, KEPT_SAMPLES, Fill, Launch, Request, together
from clconv.schedules import Schedules
from clconv.tuning import GRADIENTS, PASSES


@pytest.mark.parametrize(("unit", "offset_groups", "left"), [("wgmma", 2, {KEPT_SAMPLES, KEPT_PLANS}), ("mma", 8, {KEPT_SAMPLES})])
def test_matrix_units_share_samples_and_the_ring(unit: str, offset_groups: int, left: set[str]) -> None:
    """On a device that isn't here: the forward leaves both, the weight's pass reads samples, the data's pass the ring."""
    problem = problem_of((1, 64, 90, 160), (64, 64, 3, 3), offset_groups, padding=1, mask=True)
    variants = {"forward": unit, "backward_data": "mma", "backward_weight": unit}
    schedules = Schedules(problem, False, DEVICES["sm_90"], variants)
    forward, backward = schedules.forward(keep=True), schedules.backward(frozenset(problem.operands()), keep=True)
    assert forward.temporaries.keys() & {*KEPT, "input_ring"} == {*left, "input_ring"}
    assert forward.temporaries[KEPT_SAMPLES] == 4 * 64 * 9 * 90 * 160
    launches = [step for step in backward.in_order() if isinstance(step, Launch)]
    assert [step.kernel.name for step in launches if KEPT_SAMPLES in step.buffers] == ["backward_weight_sampled"]
    assert not any("input" in step.buffers for step in launches) and "input_ring" not in backward.temporaries
    small = replace(DEVICES["sm_90"], global_memory=8 * forward.temporaries[KEPT_SAMPLES] - 1)
    assert Schedules(problem, False, small, variants).forward(keep=True).temporaries.keys() & set(KEPT) == {KEPT_PLANS}


@pytest.mark.parametrize(
    ("batch", "channels", "outputs", "dtype", "size"),
    [
        (8, 256, 256, "float32", (128, 256)),
        (8, 256, 256, "float16", (256, 128)),
        (8, 128, 128, "float32", (128, 128)),  # 1152 columns are no multiple of 256
        (1, 256, 256, "float32", (128, 128)),  # few blocks for each compute unit
        (8, 64, 64, "float32", (64, 192)),
        (8, 64, 24, "float32", (64, 192)),
    ],
)
def test_left_samples_get_large_tiles_where_they_fill_them(
    batch: int, channels: int, outputs: int, dtype: str, size: tuple[int, int]
) -> None:
    shapes = (batch, channels, 50, 76), (outputs, channels, 3, 3)
    problem = problem_of(*shapes, 8, padding=1, mask=True, dtypes={"input": dtype})
    request = Request(problem, frozenset({"weight", "bias"}), kept=frozenset(KEPT))
    wgmma = next(variant for variant in PASSES["backward_weight"] if variant.name == "wgmma")
    tile = wgmma.tiles(request, DEVICES["sm_90"])[0]
    channels_of_a_unit = 128 // DTYPES[dtype]
    assert (tile["tile_out"], tile["units"] * channels_of_a_unit) == size


@pytest.mark.parametrize("unit", ["wgmma", "mma"])
def test_matrix_units_share_plans_and_the_ring(unit: str) -> None:
    """Where channels that share a sample are many: the forward leaves both, the backward reads them and makes neither."""
    fake = DEVICES["sm_90"]
    cases = [
        ("torchvision", 128, 3, "float32", True),
        ("chainer", 128, 3, "float32", False),
        ("torchvision", 512, 3, "float32", True),
        ("torchvision", 128, 5, "float32", True),
        ("torchvision", 256, 3, "float16", True),
        ("torchvision", 512, 3, "float16", False),
        ("torchvision", 128, 5, "float16", False),
        ("torchvision", 1024, 3, "float16", False),
    ]
    for convention, channels, kernel, dtype, planned in cases:
        shapes = (1, channels, 90, 160), (64, channels, kernel, kernel)
        problem = problem_of(*shapes, 1, padding=1, mask=True, convention=convention, dtypes={"input": dtype})
        schedules = Schedules(problem, False, fake, {"forward": unit, **dict.fromkeys(GRADIENTS, "mma")})
        forward, backward = schedules.forward(keep=True), schedules.backward(frozenset(problem.operands()), keep=True)
        assert unit in UNITS and {"input_ring", "input_sizes"} <= forward.temporaries.keys()
        assert (KEPT_PLANS in forward.temporaries) == planned
        reads = [step.buffers for step in backward.in_order() if isinstance(step, Launch)]
        assert sum(KEPT_PLANS in buffers for buffers in reads) == 2 * planned
        assert sum("offset" in buffers for buffers in reads) == (0 if planned else 2)
        assert not any("input" in buffers for buffers in reads) and "input_ring" not in backward.temporaries
        assert ("scratch" in forward.temporaries) == (channels < 1024)  # the backward's first steps, too, but for a large weight
        assert schedules.backward(frozenset(problem.operands())).workspace_bytes > backward.workspace_bytes


@pytest.mark.parametrize("deterministic", [False, True])
def test_few_channels_a_group_leave_the_ring_and_zeros(deterministic: bool) -> None:
    """With sums in fixed point only the ring."""
    problem = problem_of((8, 64, 50, 76), (64, 4, 3, 3), 1, padding=1, mask=True)
    schedules = Schedules(problem, deterministic, DEVICES["sm_90"], dict.fromkeys(PASSES, "grouped"))
    forward, backward = schedules.forward(keep=True), schedules.backward(frozenset(problem.operands()), keep=True)
    names = [step.kernel.name for step in forward.in_order() if isinstance(step, Launch)]
    assert names == ["ring_last" if deterministic else "ring_and_weight", "forward_grouped"]
    assert "input_ring" not in backward.temporaries and ("scratch" in forward.temporaries) != deterministic
    assert any(isinstance(step, Fill) for step in backward.steps) == deterministic


@pytest.mark.parametrize("name", ["sm_90", "sm_86", "gfx90a", "gfx1030", "dg2", "limited-cpu"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("offset_groups", [1, None])
def test_who_goes_ahead_can_join_what_it_does(offset_groups: int | None, dtype: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever packs the weight; and a weight that comes prepared costs no launch more."""
    monkeypatch.setattr("clconv.selfcheck.trusted", lambda *question: True)
    device = DEVICES[name]
    if dtype == "float64" and not device.fp64:
        pytest.skip("the device has no float64")
    narrow, deep = ((2, 64, 20, 26), (256, 8, 3, 3)), ((2, 64, 20, 26), (64, 64, 3, 3))
    by_tile = {"forward": "tile", "backward_data": "grouped", "backward_weight": "grouped"} if name == "sm_90" else {}
    for shapes, variants in ((narrow, {}), (narrow, by_tile), (deep, {})):
        problem = problem_of(*shapes, offset_groups, padding=1, mask=offset_groups is not None, dtypes={"input": dtype})
        schedules = Schedules(problem, False, device, variants)
        forward, backward = schedules.forward(keep=True), schedules.backward(frozenset(problem.operands()), keep=True)
        assert len(forward.in_order(prepared=True)) <= len(forward.in_order())
        assert len(backward.in_order()) <= len(schedules.backward(frozenset(problem.operands())).in_order())


def test_what_a_forward_left_is_large_enough() -> None:
    """Some gradients' pass may have another tile than that of all, for tiles are measured for each: it makes anew what it needs more of."""
    problem, device = problem_of((1, 64, 64, 64), (32, 64, 3, 3), 1, padding=1, mask=True), DEVICES["sm_90"]
    forward = Schedules(problem, False, device, {"forward": "wgmma"}).of("forward")
    variants = {which: next(variant for variant in variants if variant.name == "mma") for which, variants in PASSES.items()}
    remade = 0
    requests = [Request(problem, frozenset(needs)) for needs in (("input", "offset", "mask"), ("offset",), ("input",), ("weight", "bias"))]
    schedules = [
        [variant.schedule(request, device, tile) for tile in variant.tiles(request, device)]
        for request in requests
        for variant in [variants["backward_weight" if "weight" in request.needs else "backward_data"]]
    ]
    for whole in schedules[0]:
        left = going_ahead(forward, together([whole, schedules[-1][0]]))
        for schedule in (schedule for some in schedules for schedule in some):
            after = relieved(schedule, left)
            taken = schedule.temporaries.keys() - after.temporaries.keys()
            assert all(left.temporaries[name] >= schedule.temporaries[name] for name in taken)
            remade += any(isinstance(step, Launch) and step.kernel.name == "pack_weight_back" for step in after.in_order())
            zeroed = [step for step in schedule.steps if isinstance(step, Fill)]
            assert all(step in after.steps or step in left.shared for step in zeroed)
    assert remade
