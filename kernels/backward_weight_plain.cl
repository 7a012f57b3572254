/* backward_weight_plain: the gradient of the weight on any device; nothing assumed, bit-identical from run to run.
 *
 *     grad_weight[o, c, k] = sum over images n, pixels p: grad_output[n, o, p] * mask[n, g(c), k, p] * B(input[n, c], at k, p)
 *
 * Buffers are in NCHW order: input [N][C][H][W], offset [N][G][K][2][P], mask [N][G][K][P], grad_output [N][O][P],
 * grad_weight [SPLITS][O][C/groups][K] (of acc_t where SPLITS > 1: partial sums, which the kernel reduce adds in order).
 * Work-item (i, j, s): i = c * K + k (i < C * K, the rest idle), block j of ITEM_OUT outputs of c's group, part s of the batch's
 * rows of output pixels. Rows are summed by themselves before they are added to the total, which keeps rounding small. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
#define ITEM_OUT ${item_out}

__kernel void backward_weight_plain(
    __global const data_t *grad_output,
    __global const data_t *input,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global ${"acc_t" if partial else "data_t"} *grad_weight,
    int batch, int height, int width, int out_height, int out_width, int split_rows)
{
    if (get_global_id(0) >= IN_CHANNELS * TAPS) return;
    const int c = (int)get_global_id(0) / TAPS;
    const int tap = (int)get_global_id(0) % TAPS;
% if offset_groups:
    const int g = c / SAMPLE_CHANNELS;
% endif
    const int group = c / GROUP_IN;
    const int out_in_group = (int)get_global_id(1) * ITEM_OUT;
    const int outs = min(ITEM_OUT, GROUP_OUT - out_in_group);
    const int first_out = group * GROUP_OUT + out_in_group;
    const index_t pixels = (index_t)out_height * out_width;
    const index_t rows = (index_t)batch * out_height;
    const index_t first_row = (index_t)get_global_id(2) * split_rows;

    acc_t total[ITEM_OUT];
    for (int i = 0; i < ITEM_OUT; ++i) total[i] = ACC(0.0);
    for (index_t row = first_row; row < min(first_row + split_rows, rows); ++row) {
        const int n = (int)(row / out_height);
        const int oy = (int)(row % out_height);
        acc_t sum[ITEM_OUT];
        for (int i = 0; i < ITEM_OUT; ++i) sum[i] = ACC(0.0);
        for (int ox = 0; ox < out_width; ++ox) {
            const index_t pixel = (index_t)oy * out_width + ox;
            const sample_t s = ${sample.here("g")};
            acc_t value = interpolate(s, input + ((index_t)n * IN_CHANNELS + c) * height * width);
% if has_mask:
            value *= load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
            for (int i = 0; i < ITEM_OUT; ++i)
                sum[i] += value * load_data(grad_output, ((index_t)n * OUT_CHANNELS + first_out + min(i, outs - 1)) * pixels + pixel);
        }
        for (int i = 0; i < ITEM_OUT; ++i) total[i] += sum[i];
    }
    for (int i = 0; i < outs; ++i) {
        const index_t at = (((index_t)get_global_id(2) * OUT_CHANNELS + first_out + i) * GROUP_IN + c - group * GROUP_IN) * TAPS + tap;
% if partial:
        grad_weight[at] = total[i];
% else:
        store_data(grad_weight, at, total[i]);
% endif
    }
}
