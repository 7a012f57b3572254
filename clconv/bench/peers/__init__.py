"""What clconv is measured against: each system in its own module, imported when it is asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from clconv.bench.peers.peer import Peer


def _load(module: str, peer: str) -> Peer:
    loaded: Peer = getattr(import_module(f"{__name__}.{module}"), peer)()
    return loaded


PEERS: Mapping[str, Callable[[], Peer]] = {
    "torchvision": partial(_load, "torchvision", "Torchvision"),
    "onnxruntime": partial(_load, "onnxruntime", "OnnxRuntime"),
    "openvino": partial(_load, "openvino", "OpenVino"),
    "onednn-conv": partial(_load, "convolution", "OneDnn"),
    "cudnn-conv": partial(_load, "convolution", "Cudnn"),
}
"""Loaders of the peers, by name. A loader needs nothing of its system: `version` says whether that is installed."""
