## A worker's pieces (see weight_tile), for the kernels that make the gradient of the weight by matrix units; names as they are in the kernels.
##
## What is known before its first run, a row of blocks of one tile.
<%def name="first()">\
    const index_t end = (index_t)batch * out_height * out_width;
    const int last_block = (int)((end - 1) / BLOCK);
    const long all = ((long)last_block + 1) * TILES;
    const long first_of_all = first_piece((int)get_group_id(0), (int)get_num_groups(0), all);
    int left = (int)(first_piece((int)get_group_id(0) + 1, (int)get_num_groups(0), all) - first_of_all); /* each takes a microsecond */
    int tile = (int)(first_of_all / (last_block + 1));
    int begin = (int)(first_of_all % (last_block + 1));
</%def>\
## The loop over runs to its opening brace, and what is known of a run.
<%def name="begin()">\
    for (; left > 0; ++tile, begin = 0) {
        const int count = min(left, last_block + 1 - begin);
        const int group = tile / (OUT_TILES * COLUMN_TILES);
        const int first_unit = tile % COLUMN_TILES * UNITS;
        left -= count;
        common_barrier();
</%def>\
## The first of its outputs in the group.
<%def name="tile_out()">\
tile / COLUMN_TILES % OUT_TILES * TILE_OUT\
</%def>\
## A run's sums, of one that multiplies.
<%def name="store()">\
            __global float4 *to = partial + (index_t)((int)get_group_id(0) + tile) * TOTAL_QUADS * ITEMS + t;
            #pragma unroll
            for (int q = 0; q < TOTAL_QUADS; ++q) to[q * ITEMS] = (float4)(total[4 * q], total[4 * q + 1], total[4 * q + 2], total[4 * q + 3]);\
</%def>\
