"""What fills the parameters of the layers at first."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clconv.errors import ProblemError
from clconv.problem import DTYPES

Filler: TypeAlias = Callable[[NDArray[Any]], Any]
Initialiser: TypeAlias = ArrayLike | Filler | None


def random_generator(seed: int | None) -> np.random.Generator:
    """A generator of its own for each layer; ProblemError if `seed` is no seed."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"seed: expected None or a non-negative integer, got {seed!r}") from error


def filler(name: str, initial: Initialiser, default: Filler) -> Filler:
    """What fills a parameter, by Chainer's rule: a number fills, an array is copied, a callable fills by itself, None is `default`."""
    if initial is None:
        return default
    if callable(initial):
        return initial
    constant = np.asarray(initial)
    if constant.dtype.kind not in "biuf" and constant.dtype.name not in DTYPES:
        raise ProblemError(f"{name}: expected None, a number, an array or a callable that fills one, got {initial!r}")

    def fill(array: NDArray[Any]) -> None:
        if constant.shape not in ((), array.shape):
            raise ProblemError(f"{name}: expected a number or an array of shape {array.shape}, got shape {constant.shape}")
        array[...] = constant

    return fill


def within(bound: float, random: np.random.Generator) -> Filler:
    """Uniform in [-bound, bound)."""

    def fill(array: NDArray[Any]) -> None:
        array[...] = random.uniform(-bound, bound, array.shape)

    return fill


def lecun_normal(random: np.random.Generator) -> Filler:
    """Normal with standard deviation 1/sqrt(fan_in) (LeCun et al. 1998), fan_in being the product of all axes but the first."""

    def fill(array: NDArray[Any]) -> None:
        array[...] = random.normal(0, 1 / np.sqrt(np.prod(array.shape[1:])), array.shape)

    return fill


def zero(array: NDArray[Any]) -> None:
    """Fill with zeros."""
    array[...] = 0
