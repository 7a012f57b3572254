/* zero: buffer[i] = 0. Drivers' own fills are not used: NVIDIA's faults beyond 4 GiB.
 *
 * Work-item i: element i of the buffer (i < count, the rest idle). */
__kernel void zero(__global ${element} *buffer, long count)
{
    const long i = (long)get_global_id(0);
    if (i < count) buffer[i] = 0;
}
