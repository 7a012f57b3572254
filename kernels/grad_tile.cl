/* tile[o][p] = grad_output of output o at the block's pixel p, in acc_t; zeros for o >= outs and p >= real_pixels. Needs vector.
 *
 * grad_output [.. outputs][P]: `plane` points at the first output's block, its rows are `pixels` apart. tile [rows][TILE_PIXELS]. */
static inline void load_grad_tile(__global const data_t *plane, index_t pixels, int outs, int rows, int real_pixels, __global acc_t *tile)
{
    for (int o = 0; o < rows; ++o) {
        const int real = o < outs ? real_pixels : 0;
        int p = 0;
        for (; p + VEC <= real; p += VEC) STORE_VEC(load_data_vec(plane, o * pixels + p), 0, tile + o * TILE_PIXELS + p);
        for (; p < real; ++p) tile[o * TILE_PIXELS + p] = load_data(plane, o * pixels + p);
        for (; p < TILE_PIXELS; ++p) tile[o * TILE_PIXELS + p] = ACC(0.0);
    }
}
