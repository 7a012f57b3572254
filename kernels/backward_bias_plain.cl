/* backward_bias_plain: grad_bias[o] = sum over images n, pixels p: grad_output[n, o, p].
 *
 * grad_output [N][O][P]; grad_bias [SPLITS][O] (of acc_t where SPLITS > 1: partial sums, which the kernel reduce adds in order).
 * Work-group s * O + o: output o, pixels [s * split_pixels, ..) of the batch; its work-items read neighbouring pixels together, and add up
 * their sums in pairs. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_bias_plain(
    __global const data_t *restrict grad_output,
    __global ${"acc_t" if partial else "data_t"} *restrict grad_bias,
    int batch, int height, int width, int out_height, int out_width, long split_pixels)
{
    (void)height, (void)width;
    __local acc_t sums[ITEMS];
    const int t = (int)get_local_id(0);
    const int o = (int)(get_group_id(0) % OUT_CHANNELS);
    const long first = (long)(get_group_id(0) / OUT_CHANNELS) * split_pixels;
    const long pixels = (long)out_height * out_width;
    const long end = min(first + split_pixels, batch * pixels);

    acc_t total = ACC(0.0);
    for (long n = first / pixels; n * pixels < end; ++n) {
        __global const data_t *image = grad_output + (index_t)(n * OUT_CHANNELS + o) * (index_t)pixels;
        const int last = (int)min(end - n * pixels, pixels);
        acc_t sum = ACC(0.0);
        #pragma unroll 8
        for (int p = (int)max(first - n * pixels, 0l) + t; p < last; p += ITEMS) sum += load_data(image, p);
        total += sum;
    }
    sums[t] = total;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        if (t < half_of) sums[t] += sums[t + half_of];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% if partial:
    if (t == 0) grad_bias[get_group_id(0)] = sums[0];
% else:
    if (t == 0) store_data(grad_bias, o, sums[0]);
% endif
}
