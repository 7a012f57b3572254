/* ring_and_weight: what ring_last and pack_weight_matrix do, in one launch: neither waits for the other, and small layers wait for launches.
 *
 * Buffers as there. Work-groups below ring_groups make the ring, the others pack the weight. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="matrix.cl"/>
#define ITEMS ${items}
#define BLOCK ${block}
#define TILE_PIXELS ${tile_pixels}
#define DOUBT_BITS ${doubt_bits}
<%include file="make_ring.cl"/>
<%include file="packed_outputs.cl"/>
<%include file="make_packed.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_and_weight(
    __global const data_t *restrict input, __global data_t *restrict ring, __global float *restrict largest,
    __global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale,
    int batch, int height, int width, int ring_groups)
{
    __local word_t tile[WORDS * ROW];
    __local float most_of[ROWS * TILE_PIXELS];
    __local int doubted[TILE_PIXELS];
    __local float4 all[ITEMS];
    if ((int)get_group_id(0) < ring_groups)
        make_ring((int)get_group_id(0), tile, most_of, doubted, input, ring, largest, batch, height, width);
    else
        make_packed((int)get_group_id(0) - ring_groups, all, weight, packed, unscale);
}
