/* forward_sum: the output from partial sums of it, those of float32 data from halves (see forward_matrix), in order.
 *
 *     output[n, o, p] = bias[o] + sum over parts s: partial[s, n, o, p]
 *
 * partial [SPLITS][N][O][P]. What isn't finite is in doubt, and is done once more, sample by sample in float32, from operands in NCHW order
 * as the caller has them: input [N][C][H][W], offset [N][OG][K][2][P], mask [N][OG][K][P], weight [O][C/groups][K], bias [O].
 *
 * Work-item (i, j): pixel i of the batch (i < N * P, the rest idle) times block j of ITEM_OUT outputs; a block never leaves its group, the
 * last block of a group may be short. */
<%namespace name="direct" file="direct.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
#define SPLITS ${splits}
#define ITEM_OUT ${item_out}
#define BLOCKS ((GROUP_OUT + ITEM_OUT - 1) / ITEM_OUT)

__kernel void forward_sum(
    __global const float *partial,
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
    const index_t first = ((index_t)n * OUT_CHANNELS + first_out) * pixels + pixel;
    const index_t apart = (index_t)batch * OUT_CHANNELS * pixels;

    acc_t sum[ITEM_OUT];
    int doubt = 0;
    #pragma unroll
    for (int i = 0; i < ITEM_OUT; ++i) {
        const index_t at = first + min(i, outs - 1) * pixels;
        sum[i] = 0.0f;
        #pragma unroll
        for (int part = 0; part < SPLITS; ++part) sum[i] += partial[part * apart + at];
        doubt |= !(fabs(sum[i]) <= FLT_MAX);
% if has_bias:
        sum[i] += load_data(bias, first_out + min(i, outs - 1));
% endif
    }
    if (doubt) {
        ${direct.sums()}
    }
    #pragma unroll
    for (int i = 0; i < ITEM_OUT; ++i)
        if (i < outs) store_data(output, first + i * pixels, sum[i]);
}
