/* zero: buffer[i] = 0. Drivers' own fills are not used: on NVIDIA's, one of 8.6 GB ended in a dead context.
 *
 * Work-item i: element i of the buffer (i < count, the rest idle). */
__kernel void zero(__global ${element} *buffer, long count)
{
    const long i = (long)get_global_id(0);
    if (i < count) buffer[i] = (${element})(0);
}
