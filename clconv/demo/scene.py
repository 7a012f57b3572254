"""The scene of the demo: a photograph, a known smooth warp of it, and the displacement that undoes the warp."""

# scikit-image's functions carry no types:
# mypy: allow-untyped-calls

from dataclasses import dataclass

import numpy as np
import skimage.data
import skimage.transform
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_WAVES = 3
"""Half-waves of the warp along each side, at most: smooth, and yet different everywhere."""

_STEEPNESS = 0.55
"""How fast the warp's displacement changes, in pixels a pixel; below 1 nothing folds and the warp can be undone."""

_ITERATIONS = 40
"""Each leaves _STEEPNESS of the inverse's error: 0.55 ** 40 of the picture's side is less than a millionth of a pixel."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A photograph, its warped copy, and the way back.

    Attributes
    ----------
    photograph, warped : float32 array, (3, size, size)
        In [0, 1].
    displacement : float64 array, (2, size, size)
        (dy, dx) in pixels: the photograph's pixel p is found at p + displacement[:, p] in the warped picture.
    """

    photograph: Floats
    warped: Floats
    displacement: Doubles


@dataclass(frozen=True, slots=True)
class SineWarp:
    """A smooth displacement of the unit square that leaves its border where it is: a sum of products of sines.

    Attributes
    ----------
    amplitudes : float64 array, (2, waves, waves)
        Of sin(m pi y) sin(n pi x), for the displacements dy and dx, in sides of the square.
    """

    amplitudes: Doubles

    @staticmethod
    def random(seed: int) -> "SineWarp":
        """Draw amplitudes, smaller for shorter waves, of a steepness below 1."""
        waves = np.arange(1, _WAVES + 1)
        drawn = np.random.default_rng(seed).standard_normal((2, _WAVES, _WAVES)) / np.hypot(waves[:, None], waves)
        down, across = np.gradient(SineWarp(drawn)(pixel_centres(64)) * 64, axis=(1, 2))
        steepness = np.sqrt((down**2 + across**2).sum(axis=0)).max()
        return SineWarp(drawn * (_STEEPNESS / steepness))

    def __call__(self, points: Doubles) -> Doubles:
        """Displacement at points (2, ...) of the unit square, in the same shape."""
        waves = np.pi * np.arange(1, self.amplitudes.shape[1] + 1)
        sines = np.sin(np.multiply.outer(waves, points))
        return np.asarray(np.einsum("dmn,m...,n...->d...", self.amplitudes, sines[:, 0], sines[:, 1], optimize=True))

    def undo(self, points: Doubles) -> Doubles:
        """Displacement u with u(p) + self(p + u(p)) = 0, by fixed-point iteration."""
        found = np.zeros_like(points)
        for _ in range(_ITERATIONS):
            found = -self(points + found)
        return found


def make_scene(size: int, seed: int) -> Scene:
    """Warp the photograph: pixel q of the warped picture is the photograph at q + warp(q), by cubic interpolation.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    seed : int
        Of the warp.
    """
    warp, centres, picture = SineWarp.random(seed), pixel_centres(size), photograph(size)
    places = (centres + warp(centres)) * size - 0.5
    warped = np.stack([skimage.transform.warp(channel, places, order=3, mode="edge") for channel in picture])
    return Scene(picture, warped.astype(np.float32), warp.undo(centres) * size)


def photograph(size: int) -> Floats:
    """Read the photograph of a cup of coffee that scikit-image's wheel carries, cut square: (3, size, size) in [0, 1].

    By Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0.
    """
    whole = skimage.data.coffee() / 255
    height, width, _ = whole.shape
    square = whole[:, (width - height) // 2 :][:, :height]
    return resized(np.moveaxis(square, -1, 0), size, size)


def resized(picture: NDArray[np.floating], height: int, width: int) -> Floats:
    """Resample a picture (channels, ...) to (channels, height, width), smoothed before it gets smaller."""
    if picture.shape[1:] == (height, width):
        return picture.astype(np.float32)
    resize = skimage.transform.resize(picture, (len(picture), height, width), order=1, anti_aliasing=height < picture.shape[1])
    return np.asarray(resize, np.float32)


def pixel_centres(size: int) -> Doubles:
    """Centres (y, x) of size x size pixels of the unit square: (2, size, size)."""
    along = (np.arange(size) + 0.5) / size
    return np.stack(np.meshgrid(along, along, indexing="ij"))
