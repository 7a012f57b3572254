"""The systems that benchmarks compare with: what each says where it can't, and that where it can it answers the same question."""

import importlib.metadata
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clconv import reference
from clconv.arrays import NumpyArray
from clconv.bench.call import Job
from clconv.bench.layers import Layer
from clconv.bench.peers import PEERS
from clconv.bench.peers.peer import Peer, PeerError, Task, attempt, versions

LAYERS = (
    Layer("v2", (2, 6, 7, 9), (4, 6, 3, 2), padding=1),
    Layer("v1-no-bias", (3, 4, 8, 5), (3, 4, 3, 3), stride=2, mask=False, bias=False),
    Layer("groups", (2, 12, 6, 8), (8, 6, 3, 3), padding=2, dilation=2, offset_groups=3),
)
ORDINARY = (
    Layer("conv", (2, 6, 7, 9), (4, 6, 3, 2), padding=1, offset_groups=None, mask=False),
    Layer("conv-groups", (2, 12, 6, 8), (8, 6, 3, 3), stride=2, padding=2, dilation=2, offset_groups=None, mask=False, bias=False),
)
PASSES = ("forward", "backward", "backward_data", "backward_weight")
CPU_PEERS = ("torchvision", "onnxruntime", "openvino", "onednn-conv")
TOLERANCE = {"float64": 1e-10, "float32": 5e-5, "float16": 1e-2, "bfloat16": 5e-2}


def task(layer: Layer, which: str = "forward", dtype: str = "float32", kind: str = "cpu", precision: str = "") -> Task:
    return Task(layer, which, dtype, precision, kind, 2, [layer.arrays(dtype, seed=seed) for seed in (1, 2)])


def present(name: str) -> Peer:
    """A peer that is installed, or a skip that says what to type."""
    peer = PEERS[name]()
    try:
        peer.version()
    except ImportError as error:
        pytest.skip(str(error))
    return peer


def able(name: str, asked: Task) -> Peer:
    """A peer that can do this here, or a skip with its reason."""
    peer = present(name)
    if reason := peer.refusal(asked):
        pytest.skip(reason)
    return peer


def expected(asked: Task, plain: bool) -> dict[str, NumpyArray]:
    """The reference's answer to the first inputs; to the ordinary convolution among them if `plain`."""
    left_out = {"offset", "mask"} if plain else set()
    options: dict[str, Any] = dict(asked.layer.options)
    arrays: dict[str, Any] = {name: array for name, array in asked.inputs[0].items() if name not in left_out}
    grad_output = arrays.pop("grad_output")
    arrays.setdefault("offset", None)
    if asked.which == "forward":
        return {"output": reference.deform_conv2d(**arrays, **options)}
    needs = Job(asked.layer, asked.which).needs
    gradients = reference.deform_conv2d_backward(grad_output, **arrays, **options, needs=needs)
    return {f"grad_{name}": array for name, array in gradients._asdict().items() if array is not None}


def test_torchvision_is_judged_where_float16_puts_its_samples() -> None:
    layer = Layer("wide", (1, 4, 5, 3000), (2, 2, 2, 3), stride=2, padding=1, dilation=3, offset_groups=2)
    asked = task(layer, dtype="float16")
    given, taken = (arrays["offset"].astype("float64") for arrays in (asked.inputs[0], PEERS["torchvision"]().taken(asked)))
    grouped = taken.reshape(2, 2, 3, 2, *taken.shape[2:])
    y = np.arange(taken.shape[-2])[:, None] * 2 - 1 + 3 * np.arange(2)[:, None, None, None]
    x = np.arange(taken.shape[-1]) * 2 - 1 + 3 * np.arange(3)[:, None, None]
    for places in (grouped[..., 0, :, :] + y, grouped[..., 1, :, :] + x.astype("float16").astype("float64")):
        assert np.array_equal(places, places.astype("float16"))
    assert 0.3 < np.abs(taken - given).max() < 2.1


def check(name: str, asked: Task) -> None:
    peer = able(name, asked)
    prepared, want = peer.prepare(asked), expected(asked, peer.plain)
    got = prepared.results()
    assert set(got) == set(want)
    for result, array in got.items():
        assert array.dtype in (np.float32, np.float64)
        assert array.shape == want[result].shape
        assert np.abs(array - want[result]).max() <= TOLERANCE[asked.dtype] * np.abs(want[result]).max(), result
    assert all(0 < prepared.timed(number) < 60 for number in range(3))
    extra = prepared.memory()
    assert extra is None if asked.kind == "cpu" else extra is not None and extra >= 0


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_torchvision(kind: str, layer: Layer, which: str) -> None:
    check("torchvision", task(layer, which, kind=kind))


@pytest.mark.parametrize("layer", [*LAYERS, *ORDINARY], ids=lambda layer: layer.name)
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_inference(name: str, layer: Layer) -> None:
    check(name, task(layer))


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("layer", [*LAYERS, *ORDINARY], ids=lambda layer: layer.name)
@pytest.mark.parametrize(("name", "kind"), [("onednn-conv", "cpu"), ("cudnn-conv", "gpu")])
def test_convolution(name: str, kind: str, layer: Layer, which: str) -> None:
    check(name, task(layer, which, kind=kind))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layer", [LAYERS[0], ORDINARY[0]], ids=lambda layer: layer.name)
@pytest.mark.parametrize("name", PEERS)
def test_types(name: str, layer: Layer, dtype: str) -> None:
    """Right, refused before it is prepared, or refused in one sentence while it is."""
    asked = task(layer, dtype=dtype, kind="gpu" if name == "cudnn-conv" else "cpu")
    peer = able(name, asked)
    try:
        peer.prepare(asked)
    except PeerError as error:
        pytest.skip(str(error))
    check(name, asked)


@pytest.mark.parametrize("name", CPU_PEERS)
def test_inputs_are_taken_in_turn_and_left_as_they_are(name: str) -> None:
    asked = task(LAYERS[0])
    peer = able(name, asked)
    before = [{name: array.copy() for name, array in arrays.items()} for arrays in asked.inputs]
    prepared = peer.prepare(asked)
    first = prepared.results()["output"].copy()
    assert prepared.timed(1) > 0  # its outputs may go where the first ones went
    assert np.array_equal(prepared.results()["output"], first)
    for arrays, copies in zip(asked.inputs, before, strict=True):
        assert all(np.array_equal(arrays[name], copies[name]) for name in copies)


def torch_settings() -> tuple[Any, ...]:
    import torch

    backends = torch.backends
    return torch.get_num_threads(), backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32, backends.cudnn.benchmark


@pytest.mark.parametrize(("precision", "tf32"), [("", False), ("tf32", True)])
def test_torch_settings_are_the_task_s_during_a_call_alone(precision: str, tf32: bool) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install torch")
    from clconv.bench.peers.torch_call import TorchCall

    seen: list[tuple[Any, ...]] = []

    def function(input: Any) -> Any:
        seen.append(torch_settings())
        return input

    before = torch_settings()
    asked = replace(task(LAYERS[0], precision=precision), threads=before[0] + 1)
    call = TorchCall(asked, function, ["input"], benchmark=True)
    call.timed(0)
    call.results()
    assert seen == [(before[0] + 1, tf32, tf32, True)] * 3
    assert torch_settings() == before


def test_the_names() -> None:
    assert list(PEERS) == ["torchvision", "onnxruntime", "openvino", "onednn-conv", "cudnn-conv"]
    for name, load in PEERS.items():
        peer = load()
        assert peer.name == name
        assert peer.install.startswith("pip install ")
        assert peer.plain is name.endswith("-conv")


@pytest.mark.parametrize("name", PEERS)
def test_a_missing_system_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", missing)
    peer = PEERS[name]()
    with pytest.raises(ImportError, match=rf"^\w+ is not installed: {peer.install}$"):
        peer.version()


def missing(name: str) -> Any:
    raise importlib.metadata.PackageNotFoundError(name)


def test_versions_are_named() -> None:
    assert versions("pip install numpy", "numpy", "mako").startswith(f"numpy {np.__version__}, mako ")


@pytest.mark.parametrize(("raised", "message"), [(ValueError("\n  no\nmore"), "x fails: no"), (KeyError(), "x fails: KeyError")])
def test_a_failure_is_one_sentence(raised: Exception, message: str) -> None:
    with pytest.raises(PeerError) as caught, attempt("x"):
        raise raised
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_system_that_does_not_load_is_a_failure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PeerError, match=rf"^{name} fails: import of {name} halted"):
        PEERS[name]().prepare(task(LAYERS[0]))


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("onnxruntime", task(LAYERS[0], "backward"), "onnxruntime has no gradients"),
        ("onnxruntime", task(LAYERS[0], kind="gpu"), "onnxruntime is measured on CPUs alone"),
        ("openvino", task(LAYERS[0], "backward_weight"), "OpenVINO has no gradients"),
        ("openvino", task(LAYERS[0], kind="gpu"), "OpenVINO is measured on CPUs alone"),
        ("openvino", task(LAYERS[0], dtype="float64"), "OpenVINO computes float64 in float32"),
    ],
)
def test_inference_refuses(name: str, asked: Task, message: str) -> None:
    assert PEERS[name]().refusal(asked) == message
    assert PEERS[name]().refusal(task(LAYERS[0])) is None


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch, whether it is installed or not, that finds no CUDA device and uses oneDNN for float32 alone."""
    torch: Any = ModuleType("torch")
    torch.__version__, torch.Tensor = "9.8.7", object
    torch.cuda = SimpleNamespace(is_available=lambda: False)
    torch.float32, torch.float16, torch.empty = "float32", "float16", lambda shape, dtype, device: dtype
    torch._C = SimpleNamespace(_select_conv_backend=lambda input, *_: "Backend.Mkldnn" if input == "float32" else "Backend.Slow2d")
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delitem(sys.modules, "clconv.bench.peers.torch_call", raising=False)  # it is imported anew, and again afterwards


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("torchvision", task(ORDINARY[0]), "the layer is an ordinary convolution, and torchvision.ops.deform_conv2d needs offsets"),
        ("torchvision", task(LAYERS[0], kind="gpu"), "PyTorch 9.8.7 finds no CUDA device"),
        ("torchvision", task(LAYERS[0]), None),
        ("cudnn-conv", task(LAYERS[0], kind="gpu"), "PyTorch 9.8.7 finds no CUDA device"),
        ("cudnn-conv", task(LAYERS[0]), "PyTorch uses cuDNN on CUDA devices alone"),
        ("onednn-conv", task(LAYERS[0], kind="gpu"), "PyTorch uses oneDNN on CPUs alone"),
        ("onednn-conv", task(LAYERS[0], dtype="float16"), "PyTorch does this convolution in float16 without oneDNN, by Slow2d"),
        ("onednn-conv", task(LAYERS[0]), None),
    ],
)
@pytest.mark.usefixtures("no_cuda")
def test_torch_refuses(name: str, asked: Task, message: str | None) -> None:
    assert PEERS[name]().refusal(asked) == message


def test_time_between_cuda_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run lies between two events of an idle GPU that waits in front of them; they tell milliseconds."""
    torch: Any = pytest.importorskip("torch", reason="needs torch: pip install torch")
    from clconv.bench.peers.torch_call import WAIT, _cuda_seconds

    done: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            done.append("record")

        def synchronize(self) -> None:
            done.append("end")

        def elapsed_time(self, end: "Event") -> float:
            return 1500.0 if end is not self else 0.0

    def run() -> list[Any]:
        done.append("run")
        return []

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("idle"))
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: done.append(f"wait {cycles}"))
    assert _cuda_seconds(run) == 1.5
    assert done == ["idle", f"wait {WAIT}", "record", "run", "record", "end"]


@pytest.mark.parametrize("layer", [*LAYERS, *ORDINARY], ids=lambda layer: layer.name)
def test_onnx_model(layer: Layer) -> None:
    """ONNX's own evaluator finds in the model what the reference computes; its DeformConv rounds coordinates to float32."""
    onnx_reference = pytest.importorskip("onnx.reference", reason="needs onnx: pip install 'clconv[onnx]'")
    from clconv.bench.peers.onnxruntime import _model

    asked = task(layer)
    evaluator: Any = onnx_reference.ReferenceEvaluator(_model(asked))
    output = evaluator.run(None, {name: asked.inputs[0][name] for name in evaluator.input_names})[0]
    np.testing.assert_allclose(output, expected(asked, plain=False)["output"], rtol=1e-4, atol=1e-4)
