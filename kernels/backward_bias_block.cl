/* backward_bias_block: the gradient of the bias for CPUs; bit-identical from run to run.
 *
 *     grad_bias[o] = sum over images n, pixels p: grad_output[n, o, p]
 *
 * grad_output [N][O][P], grad_bias [O]. Work-item o: output o, VEC pixels at a time. Sums of BLOCK pixels are made by themselves, so that
 * long sums round in stages. */
<%include file="types.cl"/>
<%include file="vector.cl"/>
<%include file="channels.cl"/>
#define BLOCK (64 * VEC)

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void backward_bias_block(__global const data_t *grad_output, __global data_t *grad_bias,
                         int batch, int height, int width, int out_height, int out_width)
{
    (void)height, (void)width;
    const index_t pixels = (index_t)out_height * out_width;
    const int o = (int)get_global_id(0);
    vec_t sums = (vec_t)(ACC(0.0));
    acc_t sum = ACC(0.0);
    for (int n = 0; n < batch; ++n) {
        __global const data_t *plane = grad_output + ((index_t)n * OUT_CHANNELS + o) * pixels;
        for (index_t first = 0; first < pixels; first += BLOCK) {
            const int count = (int)min((index_t)BLOCK, pixels - first);
            vec_t part = (vec_t)(ACC(0.0));
            int p = 0;
            for (; p + VEC <= count; p += VEC) part += load_data_vec(plane, first + p);
            sums += part;
            for (; p < count; ++p) sum += load_data(plane, first + p);
        }
    }
    store_data(grad_bias, o, sum + ${" + ".join("sums.s%x" % lane for lane in range(vec))});
}
