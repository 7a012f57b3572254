/* reduce_rows: result[row] = sum over i < count: partial[row][i], in a fixed order, rounded to the result's type.
 *
 * partial [rows][count] of acc_t, result [rows]. Work-group: one row, of which each work-item sums every ITEMS-th element. */
<%include file="types.cl"/>
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void reduce_rows(__global const acc_t *partial, __global data_t *result, int count)
{
    __local acc_t sums[ITEMS];
    const int t = (int)get_local_id(0);
    __global const acc_t *row = partial + (index_t)get_group_id(0) * count;
    acc_t sum = ACC(0.0);
    #pragma unroll 4
    for (int i = t; i < count; i += ITEMS) sum += row[i];
    sums[t] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        if (t < half_of) sums[t] += sums[t + half_of];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (t == 0) store_data(result, (index_t)get_group_id(0), sums[0]);
}
