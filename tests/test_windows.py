"""The input's gradient by teams that take turns at the taps, and through windows of sums, for unusual gradients, masks and offsets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_kernels import UNUSUAL

from clconv import Device, reference
from clconv.arrays import NumpyArray
from clconv.check.cases import Case
from clconv.check.closeness import account
from clconv.check.run import Subject
from clconv.tuning import PASSES

CASE = Case("window", (2, 64, 19, 37), (40, 64, 3, 3), bias=False)
SHARED = Case("groups-share-offsets", (2, 128, 12, 21), (96, 64, 3, 3), bias=False)
NEEDS = ("input", "offset", "mask")

Arrays = dict[str, NumpyArray]
Change = Callable[[np.random.Generator, NumpyArray], NumpyArray]


def _strange(rng: np.random.Generator, values: NumpyArray, share: float) -> NumpyArray:
    return np.where(rng.random(values.shape) < share, rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30], values.shape), values)


MASKS: dict[str, Change] = {
    "of all sizes": lambda rng, masks: masks * 10.0 ** rng.uniform(-8, 8, masks.shape),
    "tiny": lambda rng, masks: masks * 1e-35,
    "zeros": lambda rng, masks: 0.0 * masks,
    "strange": lambda rng, masks: _strange(rng, masks, 1e-3),
}
OFFSETS: dict[str, Change] = {
    "moved": lambda rng, offsets: offsets + np.resize([7.3, -11.2], (18, 1, 1)),
    "far": lambda rng, offsets: 1e3 * offsets,
    "half in one place": lambda rng, offsets: np.where(rng.random(offsets.shape) < 0.5, 0.25 - np.indices(offsets.shape[2:])[0], offsets),
    "strange": lambda rng, offsets: _strange(rng, offsets, 1e-2),
}
SHAPES = (
    Case("narrow-image", (3, 64, 33, 5), (72, 64, 3, 3)),
    Case("two-groups", (2, 128, 12, 21), (96, 64, 3, 3), offset_groups=2),
    Case("two-chunks-of-channels", (1, 144, 11, 18), (24, 144, 3, 3), mask=False),
    Case("even-kernel", (2, 64, 10, 40), (16, 64, 2, 2), padding=0, dilation=2),
    Case("large-kernel", (1, 64, 14, 20), (16, 64, 5, 5), padding=2, convention="chainer"),
    Case("stride", (2, 64, 24, 50), (24, 64, 3, 3), stride=(1, 2)),
    Case("many-small-images", (300, 64, 2, 3), (24, 64, 3, 3)),
    Case("edges-of-cells", (2, 64, 13, 35), (24, 64, 3, 3), offsets="edges"),
    Case("heap", (1, 64, 16, 33), (24, 64, 3, 3), offsets="heaps"),
)


def _subjects(case: Case, device: Device) -> Iterator[Subject]:
    """The case by all tiles of several teams, in each type and precision."""
    for variant in PASSES["backward_data"]:
        for dtype, precision in (("float32", None), ("float32", "tf32"), ("float16", None), ("bfloat16", None)):
            subject = Subject("backward_data", variant, case, dtype, dtype, precision=precision)
            if subject.refusal(device) is None:
                tiles = [str(tile) for tile in variant.tiles(subject.request, device) if "teams" in dict(tile.sizes)]
                yield from (replace(subject, tile=tile) for tile in tiles)


def _check(arrays: Arrays, device: Device, names: tuple[str, ...] = NEEDS, case: Case = CASE) -> None:
    """Against the reference by every tile, but in float16, which doesn't hold such gradients."""
    tried = 0
    for subject in _subjects(case, device):
        if subject.dtype == "float16":
            continue
        tried += 1
        given: dict[str, Any] = {name: array.astype(subject.dtype) for name, array in arrays.items()}
        with np.errstate(all="ignore"):
            want, magnitude = (
                make(**given, **case.options, needs=NEEDS) for make in (reference.deform_conv2d_backward, reference.backward_magnitude)
            )
        plan = subject.plan(device)
        got = plan.backward(**given, needs=NEEDS)
        for name in names:
            right, terms = getattr(want, name), getattr(magnitude, name)
            assert account(f"grad_{name}", getattr(got, name), right, terms, plan.problem, subject.call) == ""
    _skip_without_unit(tried, device)


def _skip_without_unit(tried: int, device: Device) -> None:
    """Only a device without the unit may have tried no tile."""
    assert tried or "wgmma" not in device.matrix_units
    if not tried:
        pytest.skip("the device has no wgmma")


def _arrays(case: Case = CASE) -> tuple[Arrays, np.random.Generator]:
    return {name: array.astype(np.float64) for name, array in case.arrays().items()}, np.random.default_rng(0)


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_unusual_gradients(unusual: str, device: Device) -> None:
    arrays, rng = _arrays()
    _check(arrays | {"grad_output": UNUSUAL[unusual](rng, arrays["grad_output"])}, device)


@pytest.mark.parametrize("masks", MASKS)
def test_unusual_masks(masks: str, device: Device) -> None:
    arrays, rng = _arrays()
    _check(arrays | {"mask": MASKS[masks](rng, arrays["mask"])}, device, names=("input",))


@pytest.mark.parametrize("offsets", OFFSETS)
def test_unusual_offsets(offsets: str, device: Device) -> None:
    arrays, rng = _arrays()
    _check(arrays | {"offset": OFFSETS[offsets](rng, arrays["offset"])}, device)


@pytest.mark.parametrize("size", [2.0**-20, 2.0**-6, 2.0**12])
def test_groups_of_other_sizes(size: float, device: Device) -> None:
    """Both groups have the same samples, but pixels of other sizes."""
    arrays, _ = _arrays(SHARED)
    arrays["grad_output"][:, 48:] *= size
    _check(arrays, device, case=SHARED)


@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_shapes(case: Case, device: Device) -> None:
    subjects = list(_subjects(case, device))
    _skip_without_unit(len(subjects), device)
    for subject in subjects:
        assert subject.errors(subject.plan(device)) == ""
