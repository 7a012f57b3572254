/* backward_data_plain: the gradients of input, offset and mask on any device with an atomic add; nothing else assumed.
 *
 *     column[c, k, p] = sum over outputs o of c's group: weight[o, c, k] * grad_output[n, o, p]
 *     grad_mask[n, g, k, p]   = sum over channels c of sample group g: column * B(input[n, c], at k, p)
 *     grad_offset[n, g, k, p] = sum over the same c: mask * column * dB/dy, dB/dx
 *     grad_input[n, c, q]    += mask * column * (weight of corner q)                            for each corner inside
 *
 * Buffers are in NCHW order: input [N][C][H][W], offset [N][G][K][2][P], mask [N][G][K][P], weight [O][C/groups][K],
 * grad_output [N][O][P]; grad_input [N][C][H][W] is of acc_t and zero before. Where it must be bit-identical, it is summed in fixed point
 * instead, as pixels of a ring with channels innermost (see fixed and ring).
 * Work-item (i, j): pixel i of the batch (i < N * P, the rest idle) times entry j = g * K + k. It owns its entry of grad_offset
 * and grad_mask, which need no atomics; ITEM_CHANNELS columns at a time share each value of grad_output. */
<%namespace name="sample" file="sample.cl"/>\
<% fixed = fixed_bits > 0 %>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
% if needs_input:
<%include file="atomic.cl"/>
% endif
% if needs_input and fixed:
<%include file="ring.cl"/>
<%include file="fixed.cl"/>
<%include file="fixed_add.cl"/>
% endif
#define ITEM_CHANNELS ${item_channels}

__kernel void backward_data_plain(
    __global const data_t *grad_output,
% if needs_offset or needs_mask:
    __global const data_t *input,
% endif
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global const data_t *weight,
% if needs_input and fixed:
    __global const uchar *pixel_ways,
    __global const float *channel_scales,
    __global ulong *grad_sums,
    __global uint *grad_marks,
% elif needs_input:
    __global acc_t *grad_input,
% endif
% if needs_offset:
    __global offset_t *grad_offset,
% endif
% if needs_mask:
    __global mask_t *grad_mask,
% endif
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const size_t item = get_global_id(0);
    if (item >= (size_t)batch * (size_t)pixels) return;
    const int n = (int)(item / (size_t)pixels);
    const index_t pixel = (index_t)(item % (size_t)pixels);
    const int oy = (int)(pixel / out_width);
    const int ox = (int)(pixel % out_width);
    const int g = (int)get_global_id(1) / TAPS;
    const int tap = (int)get_global_id(1) % TAPS;

    const sample_t s = ${sample.here("g")};
% if has_mask:
    const acc_t scale = load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
% if needs_input and fixed:
    const index_t ring_pixels = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
    index_t to[CORNERS];
    uchar way[CORNERS];
    for (int corner = 0; corner < CORNERS; ++corner) {
        const index_t q = max(s.corner[corner], (index_t)0);
        to[corner] = ring_pixel(n, (int)(q / width), (int)(q % width), height, width);
        way[corner] = pixel_ways[g * ring_pixels + to[corner]];
    }
% endif
% if needs_offset:
    acc_t sum_y = ACC(0.0), sum_x = ACC(0.0);
% endif
% if needs_mask:
    acc_t sum_mask = ACC(0.0);
% endif
    const int end = (g + 1) * SAMPLE_CHANNELS;
    for (int c = g * SAMPLE_CHANNELS, next; c < end; c = next) {
        const int group = c / GROUP_IN;
        next = min(min(c + ITEM_CHANNELS, end), (group + 1) * GROUP_IN);
        acc_t column[ITEM_CHANNELS];
        for (int i = 0; i < ITEM_CHANNELS; ++i) column[i] = ACC(0.0);
        for (int o = group * GROUP_OUT; o < (group + 1) * GROUP_OUT; ++o) {
            const acc_t grad = load_data(grad_output, ((index_t)n * OUT_CHANNELS + o) * pixels + pixel);
            for (int i = 0; i < ITEM_CHANNELS; ++i) {
                const int in_group = min(c + i, next - 1) - group * GROUP_IN;
                column[i] += grad * load_data(weight, ((index_t)o * GROUP_IN + in_group) * TAPS + tap);
            }
        }
        for (int i = 0; i < next - c; ++i) {
% if needs_offset or needs_mask or not fixed:
            const index_t plane = ((index_t)n * IN_CHANNELS + c + i) * height * width;
% endif
            const acc_t through = ${"scale * column[i]" if has_mask else "column[i]"};
            (void)through; /* the gradient of the mask alone doesn't take it */
% if needs_offset or needs_mask:
            acc_t v[CORNERS];
            gather(s, input + plane, v);
% endif
% if needs_offset:
            sum_y += through * blend_dy(s, v);
            sum_x += through * blend_dx(s, v);
% endif
% if needs_mask:
            sum_mask += column[i] * blend(s, v);
% endif
% if needs_input:
            for (int corner = 0; corner < CORNERS; ++corner)
% if fixed:
                if (s.corner[corner] >= 0)
                    fixed_add(grad_sums + to[corner] * IN_CHANNELS, grad_marks + to[corner] * FIXED_MARKS, c + i,
                              through * corner_weight(s, corner), way[corner], channel_scales[c + i]);
% else:
                if (s.corner[corner] >= 0) atomic_add_acc(grad_input + plane + s.corner[corner], through * corner_weight(s, corner));
% endif
% endif
        }
    }
% if needs_offset:
    store_offset(grad_offset, 2 * ENTRY(g) * pixels + pixel, sum_y);
    store_offset(grad_offset, (2 * ENTRY(g) + 1) * pixels + pixel, sum_x);
% endif
% if needs_mask:
    store_mask(grad_mask, ENTRY(g) * pixels + pixel, sum_mask);
% endif
}
