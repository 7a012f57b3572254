"""The experiment of the demo: make a scene, learn to undo its warp, and measure how well that went."""

# scikit-image's functions carry no types:
# mypy: allow-untyped-calls

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from clconv.demo.alignment import Alignment, Step, align
from clconv.demo.scene import Scene, make_scene
from clconv.device import Device


@dataclass(frozen=True, slots=True)
class Result:
    """What happened.

    Attributes
    ----------
    scene : Scene
    alignment : Alignment
    device : Device
    seconds : float
        Of the learning, compilation included.
    """

    scene: Scene
    alignment: Alignment
    device: Device
    seconds: float

    @property
    def psnr(self) -> tuple[float, float]:
        """Peak signal-to-noise ratio of the warped and of the recovered picture, in decibels."""
        return self._psnr(self.scene.warped), self._psnr(self.alignment.output)

    @property
    def end_point_error(self) -> tuple[float, float]:
        """Mean distance in pixels from where a pixel truly went to where the layer looks for it, before and after."""
        truth = self.scene.displacement
        return _mean_length(truth), _mean_length(truth - self.alignment.displacement)

    def _psnr(self, picture: NDArray[np.float32]) -> float:
        return float(peak_signal_noise_ratio(self.scene.photograph, picture, data_range=1))


def run(size: int, steps: int, seed: int, device: Device, on_step: Callable[[Step], None] = lambda step: None) -> Result:
    """Warp the photograph and learn to undo it.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    steps : int
        Of learning.
    seed : int
        Of the warp.
    device : Device
    on_step : callable
        Told of each step.
    """
    scene = make_scene(size, seed)
    start = time.perf_counter()
    alignment = align(scene.warped, scene.photograph, steps, device=device, on_step=on_step)
    return Result(scene, alignment, device, time.perf_counter() - start)


def _mean_length(field: NDArray[np.floating]) -> float:
    return float(np.hypot(*field).mean())
