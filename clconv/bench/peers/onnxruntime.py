"""ONNX Runtime's DeformConv, or Conv for a layer without offsets: forward on the CPU."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clconv.arrays import NumpyArray
from clconv.bench.peers.peer import Peer, Prepared, Task, attempt, unless_forward_on_cpu, versions
from clconv.bench.timing import on_host

if TYPE_CHECKING:
    import onnx

OPSET, IR = 19, 9
"""The first opset that has DeformConv, and the version of the file format that belongs to it: runtimes refuse newer ones than they know."""

CONSTANTS = ("weight", "bias")
"""What the model holds itself, as models do: the runtime may rearrange it once and for all. It is that of the first inputs."""


class OnnxRuntime(Peer):
    """A model of one node in ONNX Runtime."""

    name = "onnxruntime"
    install = "pip install onnxruntime onnx"
    plain = False

    def version(self) -> str:
        """Of onnxruntime and of onnx, which builds the model."""
        return versions(self.install, "onnxruntime", "onnx")

    def refusal(self, task: Task) -> str | None:
        """Backward passes and GPUs. Types that it has no kernel for show when a task is prepared."""
        return unless_forward_on_cpu(self.name, task)

    def prepare(self, task: Task) -> Prepared:
        """A session with the task's threads, and its inputs bound."""
        with attempt(self.name):
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = task.threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 4  # a refusal is the exception alone
            model = _model(task).SerializeToString()
            return _Session(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]), task)


class _Session:
    """Inputs are bound once, outputs are made in the same place each time: the documented way around what `run` allocates a call."""

    def __init__(self, session: Any, task: Task) -> None:
        self._session = session
        self._output = _value(np.empty(task.layer.problem().shapes()["output"], task.dtype))
        self._inputs = [[(feed.name, _value(arrays[feed.name])) for feed in session.get_inputs()] for arrays in task.inputs]
        self._bindings = [self._bind(inputs) for inputs in self._inputs]
        self._timed = on_host(self._run)
        self._run(0)

    def _bind(self, inputs: Sequence[tuple[str, Any]]) -> Any:
        """A binding doesn't keep its values' memory: the lists of this session do."""
        binding = self._session.io_binding()
        for name, value in inputs:
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("output", self._output)
        return binding

    def _run(self, number: int) -> None:
        self._session.run_with_iobinding(self._bindings[number % len(self._bindings)])

    def results(self) -> dict[str, NumpyArray]:
        """The first output."""
        self._run(0)
        output: NumpyArray = self._output.numpy()
        return {"output": output.astype(np.result_type(output, np.float32))}

    def timed(self, number: int) -> float:
        """Seconds of a run."""
        return self._timed(number)

    def memory(self) -> None:
        """ONNX Runtime doesn't tell."""


def _value(array: NumpyArray) -> Any:
    """The array's memory as a value of the runtime."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _model(task: Task) -> "onnx.ModelProto":
    """A model whose one node is the layer; operands that the layer hasn't got are named by an empty string."""
    from onnx import helper, numpy_helper

    problem, arrays = task.layer.problem(), task.inputs[0]
    order = ("input", "weight", "offset", "bias", "mask") if problem.offset_groups else ("input", "weight", "bias")
    names = [name if name in problem.operands() else "" for name in order]
    node = helper.make_node("DeformConv" if problem.offset_groups else "Conv", names, ["output"], **_attributes(task))
    element = helper.np_dtype_to_tensor_dtype(arrays["input"].dtype)
    values = {name: helper.make_tensor_value_info(name, element, shape) for name, shape in problem.shapes().items()}
    feeds = [values[name] for name in problem.operands() if name not in CONSTANTS]
    constants = [numpy_helper.from_array(arrays[name], name) for name in problem.operands() if name in CONSTANTS]
    graph = helper.make_graph([node], task.layer.name, feeds, [values["output"]], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _attributes(task: Task) -> Mapping[str, Any]:
    layer, problem = task.layer, task.layer.problem()
    attributes = {
        "kernel_shape": list(layer.weight[2:]), "strides": [layer.stride] * 2, "pads": [layer.padding] * 4,
        "dilations": [layer.dilation] * 2, "group": problem.groups,
    }  # fmt: skip
    return attributes | ({"offset_group": problem.offset_groups} if problem.offset_groups else {})
