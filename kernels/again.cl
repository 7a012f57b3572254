<%page args="item='(int)get_local_id(0)'"/>\
/* again: a work-group's tile once more, sample by sample in float32, from operands in NCHW order as the caller has them; for products in
 * halves that are in doubt. Needs types, shape, sample, strips, TILE_PIXELS, TILE_OUT, TILES, ITEMS.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) in the order of strips, outputs of tile j % TILES of group j / TILES. A work-item does
 * ITEM_OUT outputs of a pixel at a time. */
<%namespace name="direct" file="direct.cl"/>\
#define ITEM_OUT 8

static inline void again(
    __global const data_t *input,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global const data_t *weight,
% if has_bias:
    __global const data_t *bias,
% endif
    __global data_t *output, int batch, int height, int width, int out_height, int out_width)
{
    const int pixels = out_height * out_width;
    const int group = (int)get_group_id(1) / TILES;
    const int first_channel = group * GROUP_IN;
    #pragma unroll 1
    for (int i = ${item}; i < TILE_PIXELS * TILE_OUT / ITEM_OUT; i += ITEMS) {
        const long at = (long)get_group_id(0) * TILE_PIXELS + i % TILE_PIXELS;
        const int out_in_group = (int)get_group_id(1) % TILES * TILE_OUT + i / TILE_PIXELS * ITEM_OUT;
        if (at >= (long)batch * pixels || out_in_group >= GROUP_OUT) continue;
        const int n = (int)(at / pixels);
        const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
        const int oy = p.x, ox = p.y;
        const index_t pixel = (index_t)oy * out_width + ox;
        const int first_out = group * GROUP_OUT + out_in_group;
        const int outs = min(ITEM_OUT, GROUP_OUT - out_in_group);
        acc_t sum[ITEM_OUT];
        ${direct.sums()}
        #pragma unroll
        for (int o = 0; o < ITEM_OUT; ++o)
            if (o < outs) store_data(output, ((index_t)n * OUT_CHANNELS + first_out + o) * pixels + pixel, sum[o]);
    }
}
