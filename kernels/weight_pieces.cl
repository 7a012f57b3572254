## A worker's pieces (see weight_tile), for the kernels that make the gradient of the weight by matrix units; names as they are in the kernels.
##
## The loop over runs of blocks of one tile, to its opening brace and what is known of a run.
<%def name="begin()">\
    const index_t end = (index_t)batch * out_height * out_width;
    const index_t last_block = (end - 1) / BLOCK;
    const long all = (last_block + 1) * (long)TILES;
    const long last_piece = first_piece((int)get_group_id(0) + 1, (int)get_num_groups(0), all);

    for (long piece = first_piece((int)get_group_id(0), (int)get_num_groups(0), all); piece < last_piece;) {
        const int tile = (int)(piece / (last_block + 1));
        const index_t begin = (index_t)(piece % (last_block + 1));
        const int count = (int)min((long)(last_block + 1 - begin), last_piece - piece);
        const int group = tile / (OUT_TILES * COLUMN_TILES);
        const int tile_out = tile / COLUMN_TILES % OUT_TILES * TILE_OUT;
        const int first_unit = tile % COLUMN_TILES * UNITS;
        piece += count;
        common_barrier();\
</%def>\
## A run's sums, of one that multiplies.
<%def name="store()">\
            __global float4 *to = partial + (index_t)((int)get_group_id(0) + tile) * TOTAL_QUADS * ITEMS + t;
            #pragma unroll
            for (int q = 0; q < TOTAL_QUADS; ++q) to[q * ITEMS] = (float4)(total[4 * q], total[4 * q + 1], total[4 * q + 2], total[4 * q + 3]);\
</%def>\
