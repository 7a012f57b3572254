"""The window in which the input's gradient is summed as integers (kernels/window.cl), by itself, on every device."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from mako.lookup import TemplateLookup
from planning import DEVICES, problem_of

from clconv import Device
from clconv.arrays import NumpyArray
from clconv.backward_data_matrix import VARIANTS
from clconv.check.closeness import FACTOR
from clconv.queues import queue_for
from clconv.schedule import Launch, Request
from clconv.source import data_directory

HEIGHT, WIDTH, CHANNELS, TAPS = 20, 37, 64, 9
ROW, BEFORE = WIDTH + 1, WIDTH + 3

Numbers = Callable[[np.random.Generator, tuple[int, ...]], NumpyArray]


def _some(what: float, share: float) -> Numbers:
    return lambda rng, shape: np.where(rng.random(shape) < share, what, rng.random(shape))


def _sizes(least: float, most: float) -> Numbers:
    return lambda rng, shape: 10.0 ** rng.uniform(least, most, shape)


def _each(number: float) -> Numbers:
    return lambda rng, shape: np.full(shape, number)


_ones = _each(1.0)


@dataclass(frozen=True)
class Data:
    """A tile's data: how far offsets reach, where to; masks; sizes of pixels' gradients and of channels' weights; columns beside these.

    `near` is the share of the samples that aren't outside of the image; in a heap all lie on one pixel.
    `windowed` says which share of the quads the window takes, at least and at most.
    """

    windowed: tuple[float, float]
    offsets: float = 2.0
    moved: tuple[float, float] = (0.0, 0.0)
    masks: Numbers = lambda rng, shape: 1 / (1 + np.exp(-rng.standard_normal(shape)))
    pixels: Numbers = _ones
    channels: Numbers = _ones
    columns: Numbers = lambda rng, shape: rng.standard_normal(shape)
    real: int = 128
    near: float = 1.0
    heap: bool = False


DATA = {
    "usual": Data((0.75, 0.9)),
    "no offsets": Data((0.98, 1.0), offsets=0.0),
    "moved": Data((0.75, 0.9), moved=(6.0, -9.0)),
    "part of a tile": Data((0.75, 0.9), real=70),
    "masks of all sizes": Data((0.0, 0.0), masks=_sizes(-8, 8)),
    "masks of three sizes": Data((0.2, 0.6), masks=_sizes(-2, 0)),
    "large masks": Data((0.5, 0.9), masks=_each(2.0**29)),
    "larger masks": Data((0.0, 0.0), masks=_each(1e20)),
    "tiny masks": Data((0.0, 0.0), masks=_each(1e-35)),
    "no masks": Data((0.0, 0.0), masks=_each(0.0)),
    "NaN masks": Data((0.5, 0.9), masks=_some(np.nan, 0.01)),
    "infinite masks": Data((0.5, 0.9), masks=_some(np.inf, 0.01)),
    "negative masks": Data((0.5, 0.9), masks=lambda rng, shape: rng.standard_normal(shape)),
    "pixels of all sizes": Data((0.01, 0.2), pixels=_sizes(-25, 10)),
    "small gradients": Data((0.75, 0.9), pixels=_each(1e-12)),
    "tiny gradients": Data((0.0, 0.0), pixels=_each(1e-20)),
    "channels of all sizes": Data((0.75, 0.9), channels=_sizes(-12, 12)),
    "sizes that cancel": Data((0.75, 0.9), pixels=_each(1e18), channels=_each(1e-18)),
    "columns of one sign": Data((0.65, 0.9), columns=lambda rng, shape: 4.0 * np.abs(rng.standard_normal(shape))),
    "large columns": Data((0.0, 0.01), columns=_each(1e3)),
    "few samples": Data((0.0, 0.0), near=0.03),
    "heap of largest columns": Data((0.01, 0.12), masks=_ones, columns=_each(8.0), heap=True),
    "heap of smallest columns": Data((0.01, 0.12), masks=_each(-0.5), columns=_each(8.0), heap=True),
    "NaN columns": Data((0.5, 0.9), columns=_some(np.nan, 1e-3)),
    "infinite columns": Data((0.5, 0.9), columns=_some(np.inf, 1e-3)),
}


def _source(precision: str | None) -> tuple[str, int]:
    """The test's kernel with the template arguments of the first tile that has a window, and that tile's pixels."""
    problem = problem_of((1, CHANNELS, HEIGHT, WIDTH), (CHANNELS, CHANNELS, 3, 3), padding=1, mask=True, precision=precision)
    request = Request(problem, frozenset({"input", "offset", "mask"}))
    wgmma = next(variant for variant in VARIANTS if variant.name == "wgmma")
    tile = next(tile for tile in wgmma.tiles(request, DEVICES["sm_90"]) if "window" in dict(tile.sizes))
    steps = wgmma.schedule(request, DEVICES["sm_90"], tile).in_order()
    kernel = next(step.kernel for step in steps if isinstance(step, Launch) and step.kernel.name == "backward_data_matrix")
    lookup = TemplateLookup([str(data_directory("kernels")), str(Path(__file__).parent)], strict_undefined=True)
    return str(lookup.get_template("window_sums.cl").render(**{**dict(kernel.arguments), "atomic": "cas"})), tile["tile_pixels"]


def _plans(data: Data, pixels: int, rng: np.random.Generator) -> NumpyArray:
    """[TAPS][pixels] of a tile whose first pixel is (4, 16): see kernels/plan.cl."""
    tap, pixel = np.indices((TAPS, pixels))
    places = [
        start + along + step - 1 + data.offsets * rng.standard_normal(tap.shape) + moved
        for start, along, step, moved in zip((4, 16), divmod(pixel, 16), divmod(tap, 3), data.moved, strict=True)
    ]
    row, column = (np.floor(place) for place in places)
    if data.heap:
        places = [np.full(tap.shape, start) for start in (4.0, 16.0)]
        row, column = places
    inside = (rng.random(tap.shape) < data.near) & (row >= -1) & (row < HEIGHT) & (column >= -1) & (column < WIDTH)
    cells = np.where(inside, BEFORE + row * ROW + column, 0).astype(np.int32)
    fractions = (place - np.floor(place) for place in places)
    return np.stack([cells.view(np.float32), data.masks(rng, tap.shape), *fractions], -1).astype(np.float32)


def _sums(plans: NumpyArray, columns: NumpyArray, real: int) -> NumpyArray:
    """What comes to each pixel of the ring, in float64."""
    ring = np.zeros((BEFORE + (HEIGHT + 2) * ROW, CHANNELS))
    cells = plans[..., 0].copy().view(np.int32)[:, :real]
    mask, y, x = (plans[:, :real, i].astype(np.float64) for i in (1, 2, 3))
    with np.errstate(all="ignore"):
        for step, weight in ((0, (1 - y) * (1 - x)), (1, (1 - y) * x), (ROW, y * (1 - x)), (ROW + 1, y * x)):
            there = cells > 0
            np.add.at(ring, cells[there] + step, ((mask * weight)[..., None] * columns[:, :real])[there])
    return ring


@pytest.mark.parametrize("precision", [None, "tf32"])
@pytest.mark.parametrize("name", DATA)
def test_sums(name: str, precision: str | None, device: Device) -> None:
    data, rng = DATA[name], np.random.default_rng(1)
    source, pixels = _source(precision)
    plans = _plans(data, pixels, rng)
    sizes, weights = data.pixels(rng, (pixels,)), data.channels(rng, (CHANNELS,))
    powers = [(2.0 ** (np.floor(np.log2(values)) - 14)).astype(np.float32) for values in (sizes, weights)]
    scale = sizes[:, None] * weights
    columns = (data.columns(rng, (TAPS, pixels, CHANNELS)) * scale).astype(np.float32)

    queue = queue_for(device, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)
        program = cl.Program(queue.context, source).build()
    buffer = partial(cl.Buffer, queue.context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR)
    got, counts = np.zeros((BEFORE + (HEIGHT + 2) * ROW, CHANNELS), np.float32), np.zeros(3, np.int32)
    results = buffer(hostbuf=got), buffer(hostbuf=counts)
    given: Any = [buffer(hostbuf=np.ascontiguousarray(values)) for values in (plans, *powers, columns)]
    beside = BEFORE + (4 - 1) * ROW + 16 - 1
    numbers = (np.int32(min(data.real, pixels)), np.int32(beside), np.int32(WIDTH))
    cl.Kernel(program, "window_sums")(queue, (128,), (128,), *given, *results, *numbers)
    cl.enqueue_copy(queue, got, results[0])
    cl.enqueue_copy(queue, counts, results[1])

    want = _sums(plans, columns.astype(np.float64), data.real)
    # 64 products of normal numbers whose largest are 1 add up to about 1, and their magnitudes to about 5
    terms = np.maximum(np.abs(columns), 5 * scale).astype(np.float64)
    magnitude = _sums(np.concatenate([plans[..., :1], np.abs(plans[..., 1:2]), plans[..., 2:]], -1), terms, data.real)
    # terms of factors that are rounded to 11 bits have 22 bits
    eps = 2.0**-18 if precision else float(np.finfo(np.float32).eps)
    # one quantum is what sums of a usual size round by: a pixel at the edge, to which little comes, is known no better
    known = np.maximum(magnitude, 0.25 * np.where(magnitude > 0, scale.max(axis=0), 0))
    with np.errstate(invalid="ignore"):
        right = np.abs(got - want) <= FACTOR * eps * known + 1e-36
    wrong = np.argwhere(~(right | (got == want) | (np.isnan(got) & np.isnan(want))))
    first = [(tuple(place), got[tuple(place)], want[tuple(place)]) for place in wrong[:1]]
    assert not first, f"{len(wrong)} sums of {name!r} are wrong, first (place, got, want) {first[0]}"
    least, most = data.windowed
    assert least <= counts[0] / counts[:2].sum() <= most
    assert counts[2] == 0
