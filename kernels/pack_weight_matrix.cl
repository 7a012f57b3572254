/* pack_weight_matrix: the weight as matrix units read it, in halves: each output scaled by its own power of two, in PARTS parts.
 *
 *     weight[o] * 2**e = part 0 + part 1 + less than 2**-22 of it,   e such that the output's largest lies in [2**13, 2**14)
 *     packed[group][tile][chunk][tap][what MATRIX_WEIGHT says of part, column and channel]
 *     unscale[(group * TILES + tile) * TILE_OUT + column] = 2**-e; NaN where halves don't do: an output with an infinity, a NaN, or weights
 *     too large or small for such an e, or more than an eighth of them further than 2**-DOUBT_BITS below the largest
 *
 * weight [O][C/groups][K]; outputs beyond the last and channels beyond the last of a chunk are zeros.
 * Work-group i: one output, or one column that is none. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="matrix.cl"/>
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
<%include file="packed_outputs.cl"/>
<%include file="combined.cl"/>
<%include file="make_packed.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void pack_weight_matrix(__global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale)
{
    __local float4 all[ITEMS];
    make_packed((int)get_group_id(0), all, weight, packed, unscale);
}
