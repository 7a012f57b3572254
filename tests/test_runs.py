"""How the CPU kernels' channels, tasks and threads are cut."""

from dataclasses import replace

import pytest
from planning import DEVICES, needs_of, problem_of

from clconv.runs import Run, divisor, joined, narrow, register_tiles
from clconv.schedule import Launch, Request, Schedule
from clconv.tuning import GRADIENTS, choose

CPU = replace(DEVICES["avx512-cpu"], compute_units=2)


def _threads(schedule: Schedule) -> int:
    """Work-items of the launch that does the work: one for each thread."""
    return max(step.global_size[0] for step in schedule.steps if isinstance(step, Launch) and step.buffers[-1] == "scratch")


@pytest.mark.parametrize(("number", "most", "found"), [(72, 32, 24), (37, 36, 1), (37, 64, 37), (9, 0, 1)])
def test_divisor(number: int, most: int, found: int) -> None:
    assert divisor(number, most) == found


@pytest.mark.parametrize(
    ("channels", "group", "offset_groups", "run", "width"),
    [
        (256, 256, 1, 64, 16),
        (64, 64, 8, 8, 8),
        (37, 37, 1, 37, 8),
        (96, 48, 12, 8, 8),
        (12, 12, 1, 12, 4),
        (3, 3, 1, 3, 1),
        (509, 509, 1, 509, 16),
    ],
)
def test_runs(channels: int, group: int, offset_groups: int, run: int, width: int) -> None:
    found = Run.of(problem_of((1, channels, 9, 9), (channels, group, 3, 3), offset_groups), CPU)
    assert (found.size, found.width) == (run, width)
    assert found.room % width == 0 and run <= found.room <= run + run // 8


@pytest.mark.parametrize(
    ("outputs", "tile"), [(16, (8, 1)), (24, (12, 2)), (40, (8, 3)), (48, (8, 3)), (53, (6, 4)), (80, (8, 3)), (96, (8, 3)), (128, (6, 4))]
)
def test_sums_pad_outputs_and_channels_little(outputs: int, tile: tuple[int, int]) -> None:
    """Rows and vectors of 16 of the first tiles, of as many outputs, and of a chunk of as many channels."""
    problem = problem_of((1, outputs, 64, 64), (outputs, outputs, 3, 3), padding=1)
    assert register_tiles(problem, CPU)[0] == tile
    found = choose("backward_data", Request(problem, needs_of("backward_data", problem)), CPU, "block").tile
    columns = found["chunk_runs"] * Run.of(problem, CPU).room
    assert -columns % (16 * found["item_vecs"]) == -columns % 16


def test_narrow_groups_are_joined() -> None:
    depthwise = problem_of((1, 96, 9, 9), (96, 1, 3, 3))
    assert narrow(depthwise, CPU) == 1 and joined(depthwise, CPU).group_in == Run.of(joined(depthwise, CPU), CPU).size == 48
    of_8 = problem_of((1, 96, 9, 9), (96, 8, 3, 3), dtypes={"input": "float64"})
    assert narrow(of_8, CPU) == 8 and joined(of_8, CPU).group_in == 48
    for other in (
        problem_of((1, 96, 9, 9), (96, 16, 3, 3)),
        problem_of((1, 96, 9, 9), (192, 1, 3, 3)),
        problem_of((1, 96, 9, 9), (96, 1, 3, 3), 12),
    ):
        assert narrow(other, CPU) == 0 and joined(other, CPU) == other


@pytest.mark.parametrize("offset_groups", [1, 8])
@pytest.mark.parametrize("which", ["forward", *GRADIENTS])
def test_one_image_of_64_channels_keeps_16_threads_busy(which: str, offset_groups: int) -> None:
    problem = problem_of((1, 64, 90, 160), (64, 64, 3, 3), offset_groups, padding=1, mask=True)
    request = Request(problem, needs_of(which, problem))
    assert _threads(choose(which, request, replace(CPU, compute_units=16), "block")) == 16


def test_few_samples_are_taken_without_a_copy_of_the_input() -> None:
    shortcut = problem_of((4, 256, 57, 57), (128, 256, 1, 1), stride=2)
    schedule = choose("forward", Request(shortcut), CPU)
    assert schedule.variant == "planes" and "input_last" not in schedule.temporaries
    assert choose("forward", Request(problem_of((1, 64, 57, 57), (64, 64, 3, 3), stride=2)), CPU).variant == "block"
