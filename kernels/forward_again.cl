/* forward_again: the tiles of which forward_matrix was in doubt, once more, sample by sample in float32.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Buffers are in NCHW order as the caller has them, see forward_plain; doubts [work-groups]. Work-group (i, j): the same pixels and
 * outputs as forward_matrix's; work-item t: pixel t of the tile, ITEM_OUT outputs at a time. */
<%namespace name="sample" file="sample.cl"/>\
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
        for (int i = 0; i < ITEM_OUT; ++i) sum[i] = ${"load_data(bias, first_out + min(i, outs - 1))" if has_bias else "ACC(0.0)"};
        for (int tap = 0; tap < TAPS; ++tap) {
            for (int g = first_channel / SAMPLE_CHANNELS; g <= (first_channel + GROUP_IN - 1) / SAMPLE_CHANNELS; ++g) {
                const sample_t s = ${sample.here("g")};
% if has_mask:
                const acc_t scale = load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
                const int end = min(first_channel + GROUP_IN, (g + 1) * SAMPLE_CHANNELS);
                for (int c = max(first_channel, g * SAMPLE_CHANNELS); c < end; ++c) {
                    const acc_t value = ${"scale * " if has_mask else ""}interpolate(s, input + ((index_t)n * IN_CHANNELS + c) * height * width);
                    for (int i = 0; i < ITEM_OUT; ++i) {
                        const index_t out = first_out + min(i, outs - 1);
                        sum[i] += value * load_data(weight, (out * GROUP_IN + c - first_channel) * TAPS + tap);
                    }
                }
            }
        }
        for (int i = 0; i < outs; ++i) store_data(output, ((index_t)n * OUT_CHANNELS + first_out + i) * pixels + pixel, sum[i]);
    }
}
