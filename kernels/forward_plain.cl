/* forward_plain: the forward pass on any device, nothing assumed.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Buffers are in NCHW order as the caller has them: input [N][C][H][W], offset [N][OG][K][2][P], mask [N][OG][K][P],
 * weight [O][C/groups][K], bias [O], output [N][O][P]; p = oy * out_width + ox, P = out_height * out_width.
 * Work-item (i, j): pixel i of the batch (i < N * P, the rest idle) times block j of ITEM_OUT outputs; a block never
 * leaves its group, the last block of a group may be short. Each sample is made once for ITEM_OUT outputs. */
<%namespace name="direct" file="direct.cl"/>\
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
    ${direct.sums()}
    for (int i = 0; i < outs; ++i) store_data(output, ((index_t)n * OUT_CHANNELS + first_out + i) * pixels + pixel, sum[i]);
}
