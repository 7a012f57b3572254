"""PyTorch tensors: torchvision's results and gradients, gradcheck, types, shared memory, and what is refused."""

from typing import Any

import numpy as np
import pytest

import clconv
from clconv import Device, ProblemError
from clconv.check.cases import BY_NAME, Case
from clconv.problem import OPERANDS

torch: Any = pytest.importorskip("torch", reason="needs PyTorch: pip install 'clconv[torch]'")

import clconv.torch  # noqa: E402  (after the skip)

deform_conv2d: Any = clconv.torch.deform_conv2d  # PyTorch gives few types

CASES = [BY_NAME[name] for name in ("plain", "v1", "groups-inside", "prime-batch", "kernel-2x5", "stride", "dilation")]


def tensors(case: Case, dtype: str = "float32", requires_grad: bool = True) -> dict[str, Any]:
    """The operands of a case, as leaves."""
    arrays = case.arrays("float32" if dtype == "bfloat16" else dtype)
    kind = getattr(torch, dtype)
    return {name: torch.from_numpy(arrays[name]).to(kind).requires_grad_(requires_grad) for name in OPERANDS if name in arrays}


def gradients(function: Any, operands: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Output and gradients of a weighted sum of it."""
    output = function(**operands, **options)
    weights = torch.from_numpy(np.random.default_rng(3).standard_normal(output.shape)).to(output.dtype)
    found = torch.autograd.grad((output * weights).sum(), list(operands.values()))
    return {"output": output.detach(), **dict(zip(operands, found, strict=True))}


def relative_error(got: Any, want: Any) -> float:
    got, want = got.detach().double(), want.detach().double()
    return float((got - want).norm() / want.norm())


def skip_without_fp64(device: Device, dtype: str = "float64") -> None:
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device.label} has no fp64")


@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-11), ("float32", 3e-6)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_torchvision(case: Case, dtype: str, bound: float, device: Device) -> None:
    torchvision = pytest.importorskip("torchvision", reason="compares with torchvision: pip install torchvision")
    skip_without_fp64(device, dtype)
    operands = tensors(case, dtype)
    options = {name: case.options[name] for name in ("stride", "padding", "dilation")}
    want = gradients(torchvision.ops.deform_conv2d, {name: t.detach().double().requires_grad_() for name, t in operands.items()}, **options)
    got = gradients(deform_conv2d, operands, **options, device=device)
    for name, tensor in got.items():
        assert tensor.dtype == getattr(torch, dtype), name
        assert relative_error(tensor, want[name]) < bound, name


@pytest.mark.parametrize("case", [Case("small", (2, 2, 4, 5), (2, 1, 2, 3)), Case("v1-small", (1, 2, 5, 4), (3, 2, 3, 2), 2, False, False)])
def test_gradcheck(case: Case, device: Device) -> None:
    skip_without_fp64(device)
    operands = tensors(case, "float64")
    with torch.no_grad():
        operands["offset"] += 0.25 - 0.5 * (operands["offset"] % 1)  # a quarter of a pixel from integers, where the gradient jumps

    def function(*values: Any) -> Any:
        return deform_conv2d(**dict(zip(operands, values, strict=True)), **case.options, deterministic=True, device=device)

    assert torch.autograd.gradcheck(function, tuple(operands.values()))


@pytest.mark.parametrize("needed", ["input", "offset", "weight", "bias", "mask"])
def test_only_what_is_needed_is_computed(needed: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    backward = clconv.api.deform_conv2d_backward

    def spy(*args: Any, **options: Any) -> Any:
        asked.append(options["needs"])
        return backward(*args, **options)

    monkeypatch.setattr(clconv.api, "deform_conv2d_backward", spy)
    operands = tensors(BY_NAME["plain"], requires_grad=False)
    operands[needed].requires_grad_()
    deform_conv2d(**operands, padding=1, device=device).sum().backward()
    assert asked == [[needed]]
    assert {name for name, tensor in operands.items() if tensor.grad is not None} == {needed}


def test_no_gradient_is_recorded_where_none_is_wanted(device: Device) -> None:
    operands = tensors(BY_NAME["plain"])
    with torch.no_grad():
        assert not deform_conv2d(**operands, padding=1, device=device).requires_grad


def test_second_backward_is_refused(device: Device) -> None:
    operands = tensors(BY_NAME["plain"])
    output = deform_conv2d(**operands, padding=1, device=device)
    (gradient,) = torch.autograd.grad(output.square().sum(), operands["offset"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("small", [None, "float32"])
def test_half_types_are_bit_for_bit_those_of_numpy(dtype: str, small: str | None, device: Device) -> None:
    case = BY_NAME["plain"]
    arrays: dict[str, Any] = case.arrays(dtype, small)
    kinds = {name: getattr(torch, str(array.dtype)) for name, array in arrays.items()}
    operands = {name: torch.from_numpy(arrays[name].astype("float32")).to(kinds[name]).requires_grad_() for name in OPERANDS}
    output = deform_conv2d(**operands, padding=1, deterministic=True, device=device)
    output.backward(torch.from_numpy(arrays["grad_output"].astype("float32")).to(kinds["grad_output"]))
    grad_output = arrays.pop("grad_output")
    want = clconv.deform_conv2d(**arrays, padding=1, device=device)
    assert output.dtype == getattr(torch, dtype)
    assert np.array_equal(output.detach().float().numpy(), want.astype("float32"))
    wanted = clconv.deform_conv2d_backward(grad_output, **arrays, padding=1, deterministic=True, device=device)._asdict()
    for name, tensor in operands.items():
        grad: Any = tensor.grad
        assert grad.dtype == kinds[name]
        assert np.array_equal(grad.float().numpy(), wanted[name].astype("float32")), name


def test_memory_is_shared_with_numpy(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    seen: list[Any] = []
    forward = clconv.api.deform_conv2d

    def spy(**operands: Any) -> Any:
        seen.append({name: operands[name].__array_interface__["data"][0] for name in OPERANDS})
        seen.append(forward(**operands))
        return seen[-1]

    monkeypatch.setattr(clconv.api, "deform_conv2d", spy)
    for dtype in ("float32", "bfloat16"):
        seen.clear()
        operands = tensors(BY_NAME["plain"], dtype)
        output = deform_conv2d(**operands, padding=1, device=device)
        assert seen[0] == {name: tensor.data_ptr() for name, tensor in operands.items()}
        assert output.data_ptr() == seen[1].__array_interface__["data"][0]


def test_views_unbatched_and_empty(device: Device) -> None:
    operands = tensors(BY_NAME["plain"], requires_grad=False)
    want = deform_conv2d(**operands, padding=1, device=device)
    channels_last = operands | {"input": operands["input"].contiguous(memory_format=torch.channels_last).requires_grad_()}
    output = deform_conv2d(**channels_last, padding=1, device=device)
    output.sum().backward()  # its gradient has strides of 0
    assert relative_error(output, want) < 1e-6
    one = operands | {name: operands[name][1] for name in ("input", "offset", "mask")}
    assert relative_error(deform_conv2d(**one, padding=1, device=device), want[1]) < 1e-6
    none = operands | {name: operands[name][:0] for name in ("input", "offset", "mask")}
    assert deform_conv2d(**none, padding=1, device=device).shape == (0, *want.shape[1:])


def test_inside_a_compiled_function(device: Device) -> None:
    operands = tensors(BY_NAME["plain"])

    def function(**operands: Any) -> Any:
        return 2 * deform_conv2d(**operands, padding=1, device=device)

    got, want = gradients(torch.compile(function, backend="eager"), operands), gradients(function, operands)
    for name, tensor in want.items():
        assert relative_error(got[name], tensor) < 1e-5, name


def test_deterministic_follows_torch(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    asked: list[bool] = []
    backward = clconv.api.deform_conv2d_backward

    def spy(*args: Any, **options: Any) -> Any:
        asked.append(options["deterministic"])
        return backward(*args, **options)

    monkeypatch.setattr(clconv.api, "deform_conv2d_backward", spy)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    operands = tensors(BY_NAME["plain"])
    for deterministic in (None, False):
        deform_conv2d(**operands, padding=1, device=device, deterministic=deterministic).sum().backward()
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("input", lambda t: t.to("meta"), r"^input: expected a tensor on the CPU, got one on meta"),
        ("weight", lambda t: t.to_sparse(), r"^weight: expected a dense tensor, got one of layout torch.sparse_coo"),
        ("mask", lambda t: t.numpy(), r"^mask: expected a torch.Tensor, got numpy.ndarray"),
        ("offset", lambda t: t.int(), r"^offset: expected a tensor of float16, bfloat16, float32, float64, got int32"),
        ("offset", lambda t: t.double(), r"^offset: expected float32 beside an input of float32, got float64"),
        ("offset", lambda t: t[:, :9], r"^offset: expected 2\*OG\*KH\*KW channels"),
        ("weight", lambda t: None, r"^weight: expected an array, got None"),
    ],
)
def test_wrong_arguments_are_named(name: str, change: Any, message: str) -> None:
    operands = tensors(BY_NAME["plain"], requires_grad=False)
    operands[name] = change(operands[name])
    with pytest.raises(ProblemError, match=message):
        deform_conv2d(**operands, padding=1)
