/* zero: buffer[i] = 0. Drivers' own fills are not used: on NVIDIA's, one of 8.6 GB ended in a dead context.
 *
 * Work-item i: elements i, i + the number of work-items, .. of the buffer, EACH of them (below count). */
#define EACH 4

__kernel void zero(__global ${element} *buffer, long count)
{
    const long step = (long)get_global_size(0);
    long i = (long)get_global_id(0);
    #pragma unroll
    for (int n = 0; n < EACH; ++n, i += step)
        if (i < count) buffer[i] = (${element})(0);
}
