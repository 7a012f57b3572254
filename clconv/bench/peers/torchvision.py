"""torchvision's deform_conv2d, forward and backward, on the CPU or with CUDA."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from clconv.arrays import NumpyArray
from clconv.bench.peers.peer import Peer, Prepared, Task, attempt, versions


class Torchvision(Peer):
    """`torchvision.ops.deform_conv2d`. Its backward makes all gradients, whichever are asked for."""

    name = "torchvision"
    install = "pip install torch torchvision"
    plain = False

    def version(self) -> str:
        """Of torchvision and of torch."""
        return versions(self.install, "torchvision", "torch")

    def refusal(self, task: Task) -> str | None:
        """Ordinary convolutions, and GPUs that PyTorch doesn't find."""
        from clconv.bench.peers.torch_call import refusal

        if task.layer.offset_groups is None:
            return "the layer is an ordinary convolution, and torchvision.ops.deform_conv2d needs offsets"
        return refusal(task.kind)

    def taken(self, task: Task) -> Mapping[str, NumpyArray]:
        """It adds a sample's position and its offset in the type of the data: in float16 at column 150 to an eighth of a pixel."""
        arrays, problem = task.inputs[0], task.layer.problem()
        offset = arrays["offset"]
        rows = np.arange(problem.out_height) * problem.stride_y - problem.pad_top
        columns = np.arange(problem.out_width) * problem.stride_x - problem.pad_left
        taps_y, taps_x = (
            np.arange(size) * by for size, by in ((problem.kernel_y, problem.dilation_y), (problem.kernel_x, problem.dilation_x))
        )
        position = np.zeros((problem.kernel_y, problem.kernel_x, 2, problem.out_height, problem.out_width), offset.dtype)
        position[:, :, 0] = (taps_y[:, None, None, None] + rows[:, None]).astype(offset.dtype)
        position[:, :, 1] = (taps_x[:, None, None] + columns).astype(offset.dtype)
        grouped = offset.reshape(problem.batch, -1, *position.shape)
        rounded = (position + grouped).astype(np.float64) - position.astype(np.float64)
        return {**arrays, "offset": rounded.reshape(offset.shape)}

    def prepare(self, task: Task) -> Prepared:
        """Operands on the device, for a backward the forward done."""
        with attempt(self.name):
            from torchvision.ops import deform_conv2d

            from clconv.bench.peers.torch_call import TorchCall

            return TorchCall(task, partial(deform_conv2d, **task.layer.options), task.layer.problem().operands())
