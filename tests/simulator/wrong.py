"""Kernels that are wrong on purpose, one for each kind of mistake that oclgrind must report; under the plugin each of these fails."""

import numpy as np
import pyopencl as cl
import pytest

from clconv import Device
from clconv.queues import queue_for

MISTAKES = {
    "out_of_bounds_write": ("if (i == 0) values[count] = 1.0f;", "Invalid write"),
    "out_of_bounds_read": ("values[i] = values[count + i];", "Invalid read"),
    "data_race": ("values[0] += (float)i;", "data_race"),
    "uninitialised_read": ("float sum; if (count < 0) sum = 0.0f; values[i] = sum;", "Uninitialized value"),
    "uninitialised_local_memory": ("values[i] = shared[i];", "Uninitialized value"),
    "divergent_barrier": ("if (i == 0) barrier(CLK_LOCAL_MEM_FENCE);", "barrier"),
}
"""What the kernel does, and a part of what is reported."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(mistake: str, device: Device) -> None:
    queue = queue_for(device, None)
    body = f"__local float shared[4]; const int i = (int)get_global_id(0); {MISTAKES[mistake][0]} if (count < 0) shared[i] = 0.0f;"
    program = cl.Program(queue.context, f"__kernel void mistake(__global float *values, int count) {{ {body} }}").build()
    values = np.ones(4, np.float32)
    buffer = cl.Buffer(queue.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=values)
    cl.Kernel(program, "mistake")(queue, (4,), (4,), buffer, np.int32(4))
    queue.finish()
