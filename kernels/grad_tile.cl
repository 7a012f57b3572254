<%namespace name="vector" file="vector.cl"/>\
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
% if narrow:
/* The same with outputs innermost, tile[p][o], for whole vectors of outputs; pixels behind the last real one are left alone. */
static inline void load_grad_rows(__global const data_t *plane, index_t pixels, int outs, int real_pixels, __global acc_t *tile)
{
    for (int o = 0; o < outs; o += VEC) {
        int p = 0;
        for (; p + VEC <= real_pixels; p += VEC) {
% for r in range(vec):
            vec_t row_${r} = load_data_vec(plane, (o + ${r}) * pixels + p);
% endfor
            ${vector.transpose(vec)}
% for r in range(vec):
            STORE_VEC(row_${r}, 0, tile + (p + ${r}) * outs + o);
% endfor
        }
        for (; p < real_pixels; ++p)
            for (int j = 0; j < VEC; ++j) tile[p * outs + o + j] = load_data(plane, (o + j) * pixels + p);
    }
}
% endif
