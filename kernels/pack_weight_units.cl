/* pack_weight_units: the weight as forward_units reads it, in halves: each output scaled by its own power of two, in PARTS parts.
 *
 *     weight[o] * 2**e = part 0 + part 1 / LOW_SCALE + less than 2**-22 of it,   e such that the output's largest lies in [2**13, 2**14)
 *     packed[group][tile][chunk][tap][what MATRIX_WEIGHT says of part, column and channel], see fragments; unscale see pack_weight_matrix
 *
 * weight [O][C/groups][K]; outputs beyond the last and channels beyond the last of a chunk are zeros.
 * Work-group i: one output, or one column that is none. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="fragments.cl"/>
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
<%include file="packed_outputs.cl"/>
<%include file="combined.cl"/>
<%include file="make_packed.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void pack_weight_units(__global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale)
{
    __local float4 all[ITEMS];
    make_packed((int)get_group_id(0), all, weight, packed, unscale);
}
