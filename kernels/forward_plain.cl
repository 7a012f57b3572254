/* forward_plain: the forward pass on any device, nothing assumed.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Buffers are in NCHW order as the caller has them: input [N][C][H][W], offset [N][OG][K][2][P], mask [N][OG][K][P],
 * weight [O][C/groups][K], bias [O], output [N][O][P]; p = oy * out_width + ox, P = out_height * out_width.
 * Work-item (i, j): pixel i of the batch (i < N * P, the rest idle) times block j of ITEM_OUT outputs; a block never
 * leaves its group, the last block of a group may be short. Each sample is made once for ITEM_OUT outputs. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
#define ITEM_OUT ${item_out}
#define BLOCKS ((GROUP_OUT + ITEM_OUT - 1) / ITEM_OUT)

__kernel void forward_plain(
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
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const size_t item = get_global_id(0);
    if (item >= (size_t)batch * (size_t)pixels) return;
    const int n = (int)(item / (size_t)pixels);
    const index_t pixel = (index_t)(item % (size_t)pixels);
    const int oy = (int)(pixel / out_width);
    const int ox = (int)(pixel % out_width);
    const int group = (int)get_global_id(1) / BLOCKS;
    const int out_in_group = (int)get_global_id(1) % BLOCKS * ITEM_OUT;
    const int first_out = group * GROUP_OUT + out_in_group;
    const int outs = min(ITEM_OUT, GROUP_OUT - out_in_group);
    const int first_channel = group * GROUP_IN;

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
