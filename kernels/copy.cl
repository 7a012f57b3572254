/* copy: destination[i0, .., i4] = source[i0, .., i4], between any layouts of up to five dimensions; elements are moved as bits.
 *
 * Sizes, strides and offsets count elements. Work-item i: element i of the row-major order of the sizes (i < count, the rest idle). */
#define element_t ${element}

__kernel void copy(
    __global const element_t *source, __global element_t *destination, long count,
    long size_1, long size_2, long size_3, long size_4,
    long from, long from_0, long from_1, long from_2, long from_3, long from_4,
    long to, long to_0, long to_1, long to_2, long to_3, long to_4)
{
    long i = (long)get_global_id(0);
    if (i >= count) return;
    const long i_4 = i % size_4; i /= size_4;
    const long i_3 = i % size_3; i /= size_3;
    const long i_2 = i % size_2; i /= size_2;
    const long i_1 = i % size_1; i /= size_1;
    destination[to + i * to_0 + i_1 * to_1 + i_2 * to_2 + i_3 * to_3 + i_4 * to_4]
        = source[from + i * from_0 + i_1 * from_1 + i_2 * from_2 + i_3 * from_3 + i_4 * from_4];
}
