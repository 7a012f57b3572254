/* find_nonfinite: first[0] = the lowest index of a chunk of values that holds a NaN${" or an infinity" if infinities else ""}; unchanged if none does.
 *
 * values [count], first [1]: at least the number of chunks before. Work-item i: chunk i, of `chunk` elements. */
<%include file="types.cl"/>

__kernel void find_nonfinite(__global const data_t *values, volatile __global int *first, long count, long chunk)
{
    const long begin = (long)get_global_id(0) * chunk;
    for (long i = begin; i < min(begin + chunk, count); ++i) {
        if (${"!isfinite" if infinities else "isnan"}(load_data(values, (index_t)i))) {
            atomic_min(first, (int)get_global_id(0));
            return;
        }
    }
}
