"""The device's clock, as its driver tells it."""

from collections.abc import Sequence

import pyopencl as cl

Launched = Sequence[tuple[str, cl.Event]]
"""Kernels' names and events, as `clconv.execute.trace` collects them."""


def span(launched: Launched) -> float:
    """Seconds from the first kernel's start to the last one's end."""
    return 1e-9 * (max(event.profile.end for _, event in launched) - min(event.profile.start for _, event in launched))


def believable(launched: Launched, host: float) -> bool:
    """Whether the span may be true, given how long the host waited for it: Mesa 22.3's llvmpipe says one nanosecond to everything."""
    return span(launched) > 1e-3 * host
