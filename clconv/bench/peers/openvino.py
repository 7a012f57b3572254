"""OpenVINO's DeformableConvolution, or its ordinary convolution for a layer without offsets: forward on the CPU."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clconv.arrays import NumpyArray
from clconv.bench.peers.peer import Peer, Prepared, Task, attempt, unless_forward_on_cpu, versions
from clconv.bench.timing import on_host

TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


class OpenVino(Peer):
    """A model of one operation, and an addition for the bias, which the operation hasn't got."""

    name = "openvino"
    install = "pip install openvino"
    plain = False

    def version(self) -> str:
        """Of openvino."""
        return versions(self.install, "openvino")

    def refusal(self, task: Task) -> str | None:
        """Backward passes, GPUs, float64."""
        if task.dtype not in TYPES:
            return f"OpenVINO computes {task.dtype} in float32"
        return unless_forward_on_cpu("OpenVINO", task)

    def prepare(self, task: Task) -> Prepared:
        """The model compiled for the task's threads and the least time of a single run, and its inputs bound."""
        with attempt(self.name):
            import openvino

            hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": task.threads, "INFERENCE_PRECISION_HINT": TYPES[task.dtype]}
            return _Requests(openvino.Core().compile_model(_model(task), "CPU", hints), task)


class _Requests:
    """A request for each of the inputs, which it reads where they are; outputs stay in its memory."""

    def __init__(self, compiled: Any, task: Task) -> None:
        self._dtype = task.dtype
        self._inputs = [{port.any_name: np.ascontiguousarray(arrays[port.any_name]) for port in compiled.inputs} for arrays in task.inputs]
        self._requests = [_request(compiled, arrays) for arrays in self._inputs]
        self._timed = on_host(self._run)
        self._run(0)

    def _run(self, number: int) -> Any:
        return self._requests[number % len(self._requests)].infer(share_outputs=True)  # the default copies them

    def results(self) -> dict[str, NumpyArray]:
        """The first output."""
        output: NumpyArray = self._run(0)[0]
        return {"output": output.view(self._dtype).astype(np.float32)}  # OpenVINO hands out bfloat16 as if it were float16

    def timed(self, number: int) -> float:
        """Seconds of a run."""
        return self._timed(number)

    def memory(self) -> None:
        """OpenVINO doesn't tell."""


def _request(compiled: Any, arrays: Mapping[str, NumpyArray]) -> Any:
    request = compiled.create_infer_request()
    for name, array in arrays.items():
        request.set_tensor(name, _tensor(array))
    return request


def _tensor(array: NumpyArray) -> Any:
    """The array's memory as a tensor; OpenVINO knows NumPy's bfloat16 only as 16 bits."""
    import openvino

    if array.dtype.name == "bfloat16":
        return openvino.Tensor(array.view(np.uint16), list(array.shape), openvino.Type.bf16)
    return openvino.Tensor(array, shared_memory=True)


def _model(task: Task) -> Any:
    """Weights and bias are constants of the model, as in inference: OpenVINO rearranges them once. They are those of the first inputs."""
    import openvino
    from openvino import opset8

    problem, arrays = task.layer.problem(), task.inputs[0]
    fed = [name for name in problem.operands() if name not in ("weight", "bias")]
    kind = getattr(openvino.Type, TYPES[task.dtype])
    parameters = {name: opset8.parameter(list(problem.shapes()[name]), kind, name=name) for name in fed}
    output = _convolution(task, parameters)
    if "bias" in problem.operands():
        output = opset8.add(output, _constant(arrays["bias"].reshape(1, -1, 1, 1)))
    return openvino.Model([output], list(parameters.values()), task.layer.name)


def _convolution(task: Task, parameters: Mapping[str, Any]) -> Any:
    """The operation. Borders are torchvision's with `bilinear_interpolation_pad`; grouped convolution has an operation of its own."""
    from openvino import opset8

    layer, problem, weight = task.layer, task.layer.problem(), task.inputs[0]["weight"]
    pads = {"pads_begin": [layer.padding] * 2, "pads_end": [layer.padding] * 2}
    steps = {"strides": [layer.stride] * 2, "dilations": [layer.dilation] * 2, **pads}
    if problem.offset_groups:
        return opset8.deformable_convolution(
            parameters["input"], parameters["offset"], _constant(weight), mask=parameters.get("mask"), group=problem.groups,
            deformable_group=problem.offset_groups, bilinear_interpolation_pad=True, **steps,
        )  # fmt: skip
    if problem.groups == 1:
        return opset8.convolution(parameters["input"], _constant(weight), **steps)
    grouped = weight.reshape(problem.groups, problem.group_out, *weight.shape[1:])
    return opset8.group_convolution(parameters["input"], _constant(grouped), **steps)


def _constant(array: NumpyArray) -> Any:
    from openvino import op

    return op.Constant(_tensor(np.ascontiguousarray(array)), shared_memory=False)
