/* forward_again: the tiles of which forward_matrix was in doubt, once more, sample by sample in float32.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Buffers are in NCHW order as the caller has them, see forward_plain; doubts [work-groups]. Work-group (i, j): the same pixels and
 * outputs as forward_matrix's; work-item t: pixel t of the tile, ITEM_OUT outputs at a time. */
<%namespace name="direct" file="direct.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="strips.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_OUT ${tile_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define ITEM_OUT 8

__kernel __attribute__((reqd_work_group_size(TILE_PIXELS, 1, 1)))
void forward_again(
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
    __global data_t *output,
    __global const int *doubts,
    int batch, int height, int width, int out_height, int out_width)
{
    if (!doubts[get_group_id(1) * get_num_groups(0) + get_group_id(0)]) return;
    const int pixels = out_height * out_width;
    const long at = (long)get_group_id(0) * TILE_PIXELS + (long)get_local_id(0);
    if (at >= (long)batch * pixels) return;
    const int n = (int)(at / pixels);
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    const int oy = p.x, ox = p.y;
    const index_t pixel = (index_t)oy * out_width + ox;
    const int group = (int)get_group_id(1) / TILES;
    const int first_channel = group * GROUP_IN;
    const int tile_out = (int)get_group_id(1) % TILES * TILE_OUT;

    for (int out_in_group = tile_out; out_in_group < min(tile_out + TILE_OUT, GROUP_OUT); out_in_group += ITEM_OUT) {
        const int first_out = group * GROUP_OUT + out_in_group;
        const int outs = min(ITEM_OUT, GROUP_OUT - out_in_group);
        acc_t sum[ITEM_OUT];
        ${direct.sums()}
        for (int i = 0; i < outs; ++i) store_data(output, ((index_t)n * OUT_CHANNELS + first_out + i) * pixels + pixel, sum[i]);
    }
}
