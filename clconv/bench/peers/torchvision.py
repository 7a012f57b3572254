"""torchvision's deform_conv2d, forward and backward, on the CPU or with CUDA."""

from functools import partial

from clconv.bench.peers.peer import Prepared, Task, attempt, versions


class Torchvision:
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

    def prepare(self, task: Task) -> Prepared:
        """Operands on the device, for a backward the forward done."""
        with attempt(self.name):
            from torchvision.ops import deform_conv2d

            from clconv.bench.peers.torch_call import TorchCall

            return TorchCall(task, partial(deform_conv2d, **task.layer.options), task.layer.problem().operands())
