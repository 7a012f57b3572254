"""PyTorch's conv2d: the ordinary convolution of a layer's shape, which a deformable one is held against."""

from functools import partial

from clconv.bench.peers.peer import Peer, Prepared, Task, attempt, versions

OPERANDS = ("input", "weight", "bias")


class Convolution(Peer):
    """`torch.nn.functional.conv2d` where PyTorch does it by the library that the peer is named for."""

    name: str
    library: str
    backend: str  # PyTorch's name for the library
    kind: str
    devices: str
    install = "pip install torch"
    plain = True

    def version(self) -> str:
        """Of torch."""
        return versions(self.install, "torch")

    def refusal(self, task: Task) -> str | None:
        """The other kind of device; and what PyTorch would do by code of its own, as it does types and shapes of many kinds."""
        from clconv.bench.peers.torch_call import convolution_backend, refusal

        if task.kind != self.kind:
            return f"PyTorch uses {self.library} on {self.devices} alone"
        if reason := refusal(task.kind):
            return reason
        backend = convolution_backend(task)
        return None if backend == self.backend else f"PyTorch does this convolution in {task.dtype} without {self.library}, by {backend}"

    def prepare(self, task: Task) -> Prepared:
        """Operands on the device, for a backward the forward done; cuDNN has measured which of its algorithms is the fastest."""
        with attempt(self.name):
            from torch.nn.functional import conv2d

            from clconv.bench.peers.torch_call import TorchCall

            problem = task.layer.problem()
            operands = [name for name in OPERANDS if name in problem.operands()]
            return TorchCall(task, partial(conv2d, groups=problem.groups, **task.layer.options), operands, benchmark=True)


class OneDnn(Convolution):
    """oneDNN's convolution on the CPU."""

    name = "onednn-conv"
    library = "oneDNN"
    backend = "Mkldnn"
    kind = "cpu"
    devices = "CPUs"


class Cudnn(Convolution):
    """cuDNN's convolution with CUDA."""

    name = "cudnn-conv"
    library = "cuDNN"
    backend = "Cudnn"
    kind = "gpu"
    devices = "CUDA devices"
