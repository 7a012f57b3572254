"""ONNX's operator in ONNX's evaluator: ONNX's own backend cases, its own implementation on odder problems, and wrong nodes."""

import importlib
from typing import Any

import numpy as np
import pytest

from clconv import Device, ProblemError
from clconv.arrays import NumpyArray

pytest.importorskip("onnx", reason="needs onnx: pip install 'clconv[onnx]'")

import onnx
from onnx.reference import ReferenceEvaluator

from clconv.onnx import DeformConv

INPUTS = ("X", "W", "offset", "B", "mask")


def backend_cases() -> list[Any]:
    """ONNX's cases of this operator; its `collect_testcases` imports the cases of all operators, which takes many seconds."""
    importlib.import_module("onnx.backend.test.case.node.deformconv")
    return [case for case in importlib.import_module("onnx.backend.test.case.node")._NodeTestCases if "deform_conv" in case.name]


def on(device: Device) -> type[Any]:
    return type("DeformConv", (DeformConv,), {"device": device})


def evaluated(model: Any, arrays: dict[str, NumpyArray], *new_ops: Any) -> NumpyArray:
    """What ONNX's evaluator makes of a model with one output, by `new_ops` where there are any."""
    results: Any = ReferenceEvaluator(model, new_ops=list(new_ops)).run(None, arrays)
    output: NumpyArray = results[0]
    return output


def model(arrays: dict[str, NumpyArray], opset: int, **attributes: Any) -> Any:
    """A model of one node; absent inputs are named by an empty string."""
    names = [name if name in arrays else "" for name in INPUTS]
    node = onnx.helper.make_node("DeformConv", names, ["Y"], **attributes)
    kind = onnx.helper.np_dtype_to_tensor_dtype(arrays["X"].dtype)
    values = [onnx.helper.make_tensor_value_info(name, kind, array.shape) for name, array in arrays.items()]
    graph = onnx.helper.make_graph([node], "one node", values, [onnx.helper.make_tensor_value_info("Y", kind, None)])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def problem(bias: bool = True, mask: bool = True) -> tuple[dict[str, NumpyArray], dict[str, Any]]:
    """Inputs and attributes: two groups, three offset groups, padding that differs on all four sides."""
    rng = np.random.default_rng(11)
    shapes = {"X": (2, 6, 7, 8), "W": (4, 3, 2, 3), "offset": (2, 3 * 2 * 6, 5, 3), "B": (4,), "mask": (2, 3 * 6, 5, 3)}
    attributes = {"strides": [2, 3], "dilations": [2, 1], "pads": [1, 0, 4, 2], "group": 2, "offset_group": 3, "kernel_shape": [2, 3]}
    given = {"X", "W", "offset"} | ({"B"} if bias else set()) | ({"mask"} if mask else set())
    return {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items() if name in given}, attributes


@pytest.mark.parametrize("case", backend_cases(), ids=lambda case: case.name)
def test_backend_cases(case: Any, device: Device) -> None:
    names = [value.name for value in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        got = evaluated(case.model, dict(zip(names, inputs, strict=True)), on(device))
        np.testing.assert_allclose(got, outputs[0], rtol=1e-6, atol=1e-6)
        assert got.dtype == outputs[0].dtype


@pytest.mark.parametrize("opset", [19, 22])
@pytest.mark.parametrize(("bias", "mask"), [(True, True), (False, True), (False, False)])
def test_as_onnx_does_it(opset: int, bias: bool, mask: bool, device: Device) -> None:
    arrays, attributes = problem(bias, mask)
    asked = model(arrays, opset, **attributes)
    want, got = evaluated(asked, arrays), evaluated(asked, arrays, on(device))
    assert got.shape == (2, 4, 5, 3)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)  # ONNX rounds coordinates to float32


def test_defaults_of_the_attributes(device: Device) -> None:
    arrays, _ = problem(bias=False, mask=False)
    arrays |= {"W": arrays["W"][:, :1].repeat(6, axis=1), "offset": np.zeros((2, 12, 6, 6), "float32")}
    asked = model(arrays, 19)
    np.testing.assert_allclose(evaluated(asked, arrays, on(device)), evaluated(asked, arrays), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_shape": [3, 2]}, r"^kernel_shape: expected \(2, 3\) as W.shape\[2:\] is, got \(3, 2\)"),
        ({"group": 1}, r"^X: expected group\*W.shape\[1\] = 1\*3 channels, got shape \(2, 6, 7, 8\)"),
        ({"offset_group": 2}, r"^offset: expected 2\*offset_group\*kH\*kW = 2\*2\*6 channels, got shape \(2, 36, 5, 3\)"),
        ({"pads": [1, 1]}, r"^pads: expected \(top, left, bottom, right\), got \(1, 1\)"),
        ({"pads": [0, 0, 0, 0]}, r"^offset: expected shape"),
        ({"strides": [0, 1]}, r"^stride\[0\]: expected an integer from 1"),
    ],
)
def test_wrong_attributes_are_named(change: dict[str, Any], message: str) -> None:
    arrays, attributes = problem()
    with pytest.raises(ProblemError, match=message):
        evaluated(model(arrays, 19, **attributes | change), arrays, DeformConv)


def test_other_than_two_spatial_dimensions_are_refused() -> None:
    arrays = {name: np.zeros(shape, "float32") for name, shape in {"X": (1, 1, 5), "W": (1, 1, 3), "offset": (1, 3, 3)}.items()}
    with pytest.raises(ProblemError, match=r"^X: expected 4 dimensions, for two are spatial, got shape \(1, 1, 5\)"):
        evaluated(model(arrays, 19), arrays, DeformConv)
