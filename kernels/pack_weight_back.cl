/* pack_weight_back: the weight as backward_data_matrix reads it, in halves: each channel scaled by its own power of two, in PARTS parts.
 *
 *     weight[:, c] * 2**e = part 0 + part 1 + less than 2**-22 of it,   e such that the channel's largest lies in [2**13, 2**14)
 *     packed[group][tile][tap][chunk][what MATRIX_WEIGHT says of part, channel and output], see matrix_back; unscale see pack_weight_matrix
 *
 * weight [O][C/groups][K]; channels beyond the last and outputs beyond the last of a chunk are zeros.
 * Work-group i: one channel, or one column that is none. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="matrix_back.cl"/>
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
<%include file="combined.cl"/>
<%include file="make_packed.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void pack_weight_back(__global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale)
{
    __local float4 all[ITEMS];
    make_packed((int)get_group_id(0), all, weight, packed, unscale);
}
