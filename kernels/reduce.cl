/* reduce: result[i] = sum over parts s, in order: partial[s][i], rounded to the result's type.
 *
 * partial [PARTS][count] of acc_t, result [count]. Work-item i: element i (i < count, the rest idle). */
<%include file="types.cl"/>
#define PARTS ${parts}

__kernel void reduce(__global const acc_t *partial, __global data_t *result, long count)
{
    const long i = (long)get_global_id(0);
    if (i >= count) return;
    acc_t sum = ACC(0.0);
    for (int part = 0; part < PARTS; ++part) sum += partial[(index_t)part * (index_t)count + (index_t)i];
    store_data(result, (index_t)i, sum);
}
