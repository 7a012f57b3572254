/* backward_input_owner: the gradient of the input without atomics, bit-identical from run to run.
 *
 *     grad_input[n, c, q] += mask * (sum over outputs o of c's group: weight[o, c, k] * grad_output[n, o, p]) * (weight of corner q)
 *
 * Each work-item owns a band of rows of one channel's plane and adds to it, in one order, whatever falls into it.
 * Buffers are in NCHW order: offset [N][G][K][2][P], mask [N][G][K][P], weight [O][C/groups][K], grad_output [N][O][P],
 * grad_input [N][C][H][W] of acc_t, written whole.
 * Work-item (i, j): plane i = n * C + c (i < N * C, the rest idle), rows [j * band_rows, (j + 1) * band_rows). Neighbours in i share
 * their samples, so their branches agree. More bands, more parallelism; each looks at all samples again, which is the cheap part. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>

__kernel void backward_input_owner(
    __global const data_t *grad_output,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global const data_t *weight,
    __global acc_t *grad_input,
    int batch, int height, int width, int out_height, int out_width, int band_rows)
{
    const size_t item = get_global_id(0);
    if (item >= (size_t)batch * IN_CHANNELS) return;
    const int n = (int)(item / IN_CHANNELS);
    const int c = (int)(item % IN_CHANNELS);
% if offset_groups:
    const int g = c / SAMPLE_CHANNELS;
% endif
    const int group = c / GROUP_IN;
    const index_t pixels = (index_t)out_height * out_width;
    const index_t first = (index_t)((int)get_global_id(1) * band_rows) * width;
    const index_t end = (index_t)min(((int)get_global_id(1) + 1) * band_rows, height) * width;
    __global acc_t *plane = grad_input + (index_t)item * height * width;

    for (index_t q = first; q < end; ++q) plane[q] = ACC(0.0);
    for (int oy = 0; oy < out_height; ++oy) {
        for (int ox = 0; ox < out_width; ++ox) {
            const index_t pixel = (index_t)oy * out_width + ox;
            for (int tap = 0; tap < TAPS; ++tap) {
                const sample_t s = ${sample.here("g")};
                int mine = 0;
                for (int i = 0; i < CORNERS; ++i) mine |= s.corner[i] >= first && s.corner[i] < end;
                if (!mine) continue;
                acc_t through = ACC(0.0);
                for (int o = group * GROUP_OUT; o < (group + 1) * GROUP_OUT; ++o)
                    through += load_data(grad_output, ((index_t)n * OUT_CHANNELS + o) * pixels + pixel)
                             * load_data(weight, ((index_t)o * GROUP_IN + c - group * GROUP_IN) * TAPS + tap);
% if has_mask:
                through *= load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
                for (int i = 0; i < CORNERS; ++i)
                    if (s.corner[i] >= first && s.corner[i] < end) plane[s.corner[i]] += through * corner_weight(s, i);
            }
        }
    }
}
