"""clconv against what torchvision, torch and Chainer answered: output and every gradient."""

from typing import Any

import numpy as np
import pytest
from golden import compare, store
from golden.store import Golden

import clconv
from clconv import Device, UnsupportedError, reference

TORCHVISION = store.load(store.FOLDER / "torchvision.npz")
CHAINER = store.load(store.FOLDER / "chainer.npz")
RECORDS = {record.name: record for record in (*TORCHVISION, *CHAINER)}


def named(*functions: str) -> list[Golden]:
    return [record for record in RECORDS.values() if record.function in functions]


def assert_close(record: Golden, dtype: str, got: store.Arrays) -> None:
    want = record.answers()
    assert got.keys() == want.keys()
    worst = compare.errors(got, want)
    allowed = compare.bound(record, dtype)
    assert all(error <= allowed for error in worst.values()), f"relative errors {worst}, allowed {allowed}"


def skip_without_fp64(device: Device) -> None:
    """Skip a float64 test, with the library's own sentence, where the device can't."""
    if not device.fp64:
        with pytest.raises(UnsupportedError) as reason:
            clconv.conv2d(np.ones((1, 1, 2, 3)), np.ones((1, 1, 1, 1)), device=device)
        pytest.skip(str(reason.value))


@pytest.mark.thorough
@pytest.mark.parametrize("name", RECORDS)
def test_float64(name: str, device: Device) -> None:
    skip_without_fp64(device)
    assert_close(RECORDS[name], "float64", compare.answers(RECORDS[name], "float64", device))


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, record in RECORDS.items() if "float32" in record.dtypes()])
def test_float32(name: str, device: Device) -> None:
    assert_close(RECORDS[name], "float32", compare.answers(RECORDS[name], "float32", device))


@pytest.mark.parametrize("record", named("deform_conv2d", "conv2d"), ids=lambda record: record.name)
def test_reference(record: Golden) -> None:
    operands = record.operands("float64")
    grad_output = operands.pop("grad_output")
    assert_close(record, "float64", compare.plain(reference, record.function, operands, grad_output, record.options))


@pytest.mark.parametrize("record", named("deformable_convolution_2d_sampler"), ids=lambda record: record.name)
def test_reference_with_chainers_gate(record: Golden) -> None:
    operands = record.operands("float64")
    taps = operands["offset"].shape[1] // 2
    order = np.stack([np.arange(taps) + taps, np.arange(taps)], axis=1).ravel()  # of Chainer's channels: y and x of each tap
    own: dict[str, Any] = {"input": operands["x"], "offset": operands["offset"][:, order], "weight": operands["W"]}
    own["bias"] = operands.get("b")
    options = {"stride": record.options["stride"], "padding": record.options["pad"], "convention": "chainer"}
    got = compare.plain(reference, "deform_conv2d", own, operands["grad_output"], options)
    got["grad_offset"] = got["grad_offset"][:, np.argsort(order)]
    chainer_names = {"grad_input": "grad_x", "grad_weight": "grad_W", "grad_bias": "grad_b"}
    assert_close(record, "float64", {chainer_names.get(name, name): array for name, array in got.items()})


@pytest.mark.parametrize(("name", "shape"), [("seed", (4, 5, 8, 8)), ("sampler-seed", (2, 4, 2, 5))])
def test_examples_of_the_seed_systems(name: str, shape: tuple[int, ...], device: Device) -> None:
    assert compare.answers(RECORDS[name], "float32", device)["output"].shape == shape


def test_files_say_who_made_them() -> None:
    assert store.versions(store.FOLDER / "torchvision.npz").keys() == {"torch", "torchvision"}
    assert store.versions(store.FOLDER / "chainer.npz")["chainer"].startswith("7.8")


def test_only_infinite_offsets_give_torchvision_nan() -> None:
    unknown = {record.name for record in RECORDS.values() for array in record.answers().values() if not np.isfinite(array).all()}
    assert unknown == {"far"}
