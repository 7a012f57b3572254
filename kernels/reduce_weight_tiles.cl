/* reduce_weight_tiles: grad_weight from the segments that the weight's pass by matrix units summed, of each tile in the order of its pixels.
 *
 *     grad_weight[o, c, tap] = sum over the segments of its tile
 *
 * partial [WORKERS + TILES - 1][TOTAL_QUADS][ITEMS] of quads, see weight_tile; grad_weight [O][C/groups][K].
 * Work-group (i, t): quads [i * REDUCE_ITEMS, ..) of tile t. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="weight_tile.cl"/>
#define REDUCE_ITEMS ${reduce_items}

__kernel __attribute__((reqd_work_group_size(REDUCE_ITEMS, 1, 1)))
void reduce_weight_tiles(__global const float4 *restrict partial, __global data_t *restrict grad_weight, int blocks, int workers)
{
    const int quad = (int)get_global_id(0);
    const int tile = (int)get_group_id(1);
    const long all = (long)TILES * blocks;
    const long begin = (long)tile * blocks, end = begin + blocks;
    const int first = worker_of(begin, workers, all), last = worker_of(end - 1, workers, all);

    __global const float4 *from = partial + (index_t)(first + tile) * TOTAL_QUADS * ITEMS + quad;
    float4 sum = (float4)(0.0f);
    #pragma unroll 4
    for (int worker = first; worker <= last; ++worker) {
        sum += *from;
        from += TOTAL_QUADS * ITEMS;
    }

    const int t = quad % ITEMS, fragment = quad / ITEMS;
    const int group = tile / (OUT_TILES * COLUMN_TILES);
% for i in range(4):
    {
        const int at = 4 * fragment + ${i};
        const int out = tile / COLUMN_TILES % OUT_TILES * TILE_OUT + out_of(t, at);
        const int unit = tile % COLUMN_TILES * UNITS + column_of(t, at) / UNIT;
        const int c = unit / TAPS * UNIT + column_of(t, at) % UNIT;
        const index_t to = ((index_t)(group * GROUP_OUT + out) * GROUP_IN + c) * TAPS + unit % TAPS;
        if (out < GROUP_OUT && c < GROUP_IN) store_data(grad_weight, to, sum.s${i});
    }
% endfor
}
