"""Makes chainer.npz: Chainer's deformable_convolution_2d_sampler and its link, in float64 on the CPU.

Regenerate with Chainer 7.8 (which needs setuptools < 70 to be built and numpy < 1.24 to run), from the folder `tests`:
python -m golden.make_chainer

Operands have Chainer's own names here: x, offset, W, b, and gy for the output's gradient, which is kept as `grad_output`.
"""

from collections.abc import Iterator
from typing import Any

import chainer
import numpy as np

from golden.store import FOLDER, Arrays, Case, Golden, draw, save, seeded

NAMES = {"input": "x", "offset": "offset", "weight": "W", "bias": "b"}

SAMPLER = (
    Case("sampler-seed", (2, 3, 4, 7), 4, (3, 3), dtype="float32"),
    Case("sampler-no-bias", (2, 3, 7, 6), 4, (3, 2), (1, 1), (1, 2), bias=False),
    Case("sampler-stride", (3, 5, 9, 7), 2, (2, 3), (2, 3), (2, 1), spread=2.0, dtype="float32"),
    Case("sampler-pointwise", (2, 6, 7, 5), 3, (1, 1), (2, 2)),
    Case("sampler-beyond-the-border", (2, 3, 6, 8), 4, (3, 3), (1, 1), (2, 1), spread=6.0),
    Case("sampler-width-1", (2, 3, 7, 1), 4, (3, 3), (1, 1), (1, 1)),
    Case("sampler-batch-37", (37, 2, 3, 4), 2, (2, 2)),
)

LINKS = (
    Case("link", (2, 3, 7, 6), 4, (3, 2), (2, 1), (1, 2)),
    Case("link-no-bias", (2, 2, 5, 6), 3, (3, 3), bias=False),
)


def sampler(operands: Arrays, options: dict[str, Any]) -> Arrays:
    """Output and gradients of chainer.functions.deformable_convolution_2d_sampler; operands by Chainer's names."""
    variables = {name: chainer.Variable(operands[name].astype(np.float64)) for name in NAMES.values() if name in operands}
    output = chainer.functions.deformable_convolution_2d_sampler(**variables, **options)
    return _answers(output, variables, operands["grad_output"])


def link(operands: Arrays, options: dict[str, Any]) -> Arrays:
    """Output and gradients of chainer.links.DeformableConvolution2D with the given parameters."""
    with chainer.using_config("dtype", np.float64):
        module = chainer.links.DeformableConvolution2D(**options)
    parameters = {path.strip("/"): parameter for path, parameter in module.namedparams()}
    for name, parameter in parameters.items():
        parameter.array[...] = operands[name]
    x = chainer.Variable(operands["x"])
    _check_offsets(module.offset_conv(x).array)
    module.cleargrads()  # they are NaN at first, and backward adds to them
    return _answers(module(x), {"x": x, **parameters}, operands["grad_output"])


def renamed(operands: Arrays) -> Arrays:
    """The operands under Chainer's names, offsets in Chainer's order: all x, then all y."""
    arrays = {NAMES.get(name, name): array for name, array in operands.items()}
    offset = arrays["offset"]
    return {**arrays, "offset": np.concatenate([offset[:, 1::2], offset[:, 0::2]], axis=1)}


def sampler_options(case: Case) -> dict[str, Any]:
    """The arguments of Chainer's function that are no arrays."""
    return {"stride": case.stride, "pad": case.padding}


def link_options(case: Case) -> dict[str, Any]:
    """The arguments of the link's constructor."""
    own = {"in_channels": case.input_shape[1], "out_channels": case.out_channels, "ksize": case.kernel}
    return {**own, **sampler_options(case), "offset_nobias": not case.bias, "deform_nobias": not case.bias}


def link_operands(case: Case, rng: np.random.Generator) -> Arrays:
    """Image and parameters whose first convolution gives offsets away from integers.

    The image is positive and each channel's weights have one sign, so that without bias (and without padding) the offsets
    are between 0.2 and 0.9 in size; with a bias of half a pixel off the integers they are within 0.45 of it.
    """
    operands = draw(case, rng)
    channels = 2 * case.kernel[0] * case.kernel[1]
    shape = (channels, case.input_shape[1], *case.kernel)
    weight = rng.choice((-1.0, 1.0), (channels, 1, 1, 1)) * rng.uniform(0.4, 0.9, shape) / np.prod(shape[1:])
    arrays = {"x": rng.uniform(0.6, 1.0, case.input_shape), "grad_output": operands["grad_output"], "deform_conv/W": operands["weight"]}
    if not case.bias:
        return {**arrays, "offset_conv/W": weight}
    bias = rng.integers(-2, 2, channels) + 0.5
    return {**arrays, "offset_conv/W": weight / 2, "deform_conv/b": operands["bias"], "offset_conv/b": bias}


def _check_offsets(offset: Any) -> None:
    """Close to an integer Chainer may take the neighbouring cell: its gradients there would be another cell's."""
    distance = np.abs(offset - np.rint(offset)).min()
    if distance < 0.01:
        raise ValueError(f"offsets come within {distance} of an integer: choose another seed")


def _answers(output: Any, variables: dict[str, Any], grad_output: Any) -> Arrays:
    output.grad = grad_output.astype(np.float64)
    output.backward()
    return {"output": output.array, **{f"grad_{name}": variable.grad for name, variable in variables.items()}}


def _records() -> Iterator[Golden]:
    for case in SAMPLER:
        operands, options = renamed(draw(case, seeded(case))), sampler_options(case)
        yield Golden(case.name, "deformable_convolution_2d_sampler", options, {**operands, **sampler(operands, options)})
    for case in LINKS:
        operands, options = link_operands(case, seeded(case)), link_options(case)
        yield Golden(case.name, "DeformableConvolution2D", options, {**operands, **link(operands, options)})


if __name__ == "__main__":
    save(FOLDER / "chainer.npz", {"chainer": chainer.__version__, "numpy": np.__version__}, _records())
