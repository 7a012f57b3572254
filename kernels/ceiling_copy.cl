/* ceiling_copy: to[i] = from[i], as fast as the memory allows: what a device's bandwidth is taken to be.
 *
 * from, to [count] of vectors. Work-item i takes vectors i, i + items, i + 2 * items, ... */
typedef float${vec} vec_t;

__kernel void ceiling_copy(__global const vec_t *from, __global vec_t *to, int count)
{
    for (int i = (int)get_global_id(0); i < count; i += (int)get_global_size(0)) to[i] = from[i];
}
