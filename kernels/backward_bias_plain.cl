/* backward_bias_plain: grad_bias[o] = sum over images n, pixels p: grad_output[n, o, p].
 *
 * grad_output [N][O][P]; grad_bias [SPLITS][O] (of acc_t where SPLITS > 1: partial sums, which the kernel reduce adds in order).
 * Work-item (i, s): output i (i < O, the rest idle), part s of the batch's rows of output pixels, each row summed by itself. */
<%include file="types.cl"/>
<%include file="channels.cl"/>

__kernel void backward_bias_plain(
    __global const data_t *grad_output,
    __global ${"acc_t" if partial else "data_t"} *grad_bias,
    int batch, int height, int width, int out_height, int out_width, int split_rows)
{
    (void)height, (void)width;
    if (get_global_id(0) >= OUT_CHANNELS) return;
    const int o = (int)get_global_id(0);
    const index_t rows = (index_t)batch * out_height;
    const index_t first_row = (index_t)get_global_id(1) * split_rows;

    acc_t total = ACC(0.0);
    for (index_t row = first_row; row < min(first_row + split_rows, rows); ++row) {
        const index_t start = ((row / out_height * OUT_CHANNELS + o) * out_height + row % out_height) * out_width;
        acc_t sum = ACC(0.0);
        for (int ox = 0; ox < out_width; ++ox) sum += load_data(grad_output, start + ox);
        total += sum;
    }
    const index_t at = (index_t)get_global_id(1) * OUT_CHANNELS + o;
% if partial:
    grad_bias[at] = total;
% else:
    store_data(grad_bias, at, total);
% endif
}
