/* backward_data_tile: the gradients of input, offset and mask for any GPU with an atomic add, by a product whose tiles meet in local memory.
 *
 *     column[p][c]          = sum over outputs o of c's group: grad_output[o][p] * weight[o][c]                              at one tap
 *     dot[corner][p]        = sum over channels c of a sample group: column[p][c] * (ring at p's corner)[c]
 *     grad_mask             = blend(dot), grad_offset = mask * blend_dy(dot), mask * blend_dx(dot)
 *     grad_ring[corner][c] += mask * column[p][c] * (weight of corner)
 *
 * ring, grad_ring [..][C], channels innermost in a ring of zeros, see ring_last; grad_ring of acc_t, zero before, what is added outside the
 * image is dropped by ring_first. packed [GROUPS][1][TAPS * GROUP_IN][GROUP_OUT] of acc_t, see pack_weight. offset [N][OG][K][2][P], mask
 * [N][OG][K][P], grad_output [N][O][P], grad_offset and grad_mask as the caller has them.
 *
 * Work-group i: pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips. It takes TILE_CHANNELS channels at a time,
 * which lie in one group and in one sample group or over whole ones, and tap after tap: so its sums over channels are its own. Work-item t
 * multiplies (see quads; channels along x, pixels along y), then goes back through the samples of its block. It loads outputs
 * t / TILE_PIXELS + i * GRAD_ROWS of grad_output's pixel t % TILE_PIXELS.
 *
 * Local memory: plan (see plan), gates and dots [PLANS][TAPS][TILE_PIXELS] of a sample group's chunks; panels of the factors, rows of
 * TILE_OUT outputs; parts [TILE_PIXELS][ITEMS_X], the dots of a work-item's channels. */
<%namespace name="quads" file="quads.cl"/>\
<%namespace name="planned" file="planned_sample.cl"/>\
<%
dots = needs_offset or needs_mask
fixed = fixed_bits > 0
%>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="quads.cl"/>
% if needs_input:
<%include file="atomic.cl"/>
% endif
% if needs_input and fixed:
<%include file="fixed.cl"/>
<%include file="fixed_add.cl"/>
% endif
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define TILE_OUT ${tile_out}
#define ITEM_PIXELS ${item_pixels}
#define CHUNKS (IN_CHANNELS / TILE_CHANNELS)
#define PLANS ${plans}
#define PLANNED (PLANS * TAPS * TILE_PIXELS)
#define ITEMS_X (TILE_CHANNELS / 4)
#define ITEMS_Y (TILE_PIXELS / ITEM_PIXELS)
#define ITEMS (ITEMS_X * ITEMS_Y)
#define GROUP_ITEMS (ITEMS_X / PLANS)
#define GRAD_ROWS (ITEMS / TILE_PIXELS)
#define GRADS_ROW (TILE_PIXELS / 4 + 1)
#define WEIGHTS_ROW (TILE_CHANNELS / 4 + 1)

<%include file="planned_sample.cl"/>
% if needs_input and fixed:
<%include file="fixed_corners.cl"/>
% endif
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_data_tile(
    __global const data_t *restrict grad_output,
% if dots:
    __global const data_t *restrict ring,
% endif
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    __global const acc_t *restrict packed,
% if needs_input and fixed:
    __global const uchar *restrict pixel_ways,
    __global const float *restrict channel_scales,
    __global ulong *grad_sums,
    __global uint *grad_marks,
% elif needs_input:
    __global acc_t *grad_ring,
% endif
% if needs_offset:
    __global offset_t *restrict grad_offset,
% endif
% if needs_mask:
    __global mask_t *restrict grad_mask,
% endif
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[PLANNED];
    __local quad_t grads[TILE_OUT * GRADS_ROW];
    __local quad_t weights[TILE_OUT * WEIGHTS_ROW];
% if needs_input and fixed:
    __local uchar4 ways[PLANNED];
% endif
% if dots:
    __local uchar gates[PLANNED];
    __local quad_t dots[PLANNED];
    __local quad_t parts[TILE_PIXELS * ITEMS_X];
% endif
    __local acc_t *grad_factors = (__local acc_t *)grads;
    __local acc_t *weight_factors = (__local acc_t *)weights;
    const int t = (int)get_local_id(0);
% if needs_input and fixed:
    const index_t ring_pixels = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
% endif
% if dots or not fixed:
    const int below = (width + 1) * IN_CHANNELS;
    const int steps[4] = {0, IN_CHANNELS, below, below + IN_CHANNELS};
% endif
    const int pixels = out_height * out_width;
    const long end = (long)batch * pixels;
    const long at = min((long)get_group_id(0) * TILE_PIXELS + t % TILE_PIXELS, end - 1);
    const int n = (int)(at / pixels);
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    const int oy = p.x, ox = p.y;
    const index_t pixel = (index_t)oy * out_width + ox;
    __global const data_t *grad = grad_output + (index_t)n * OUT_CHANNELS * pixels + pixel;
    const int real_pixels = (int)min((long)TILE_PIXELS, end - (long)get_group_id(0) * TILE_PIXELS);

    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        const int first_channel = chunk * TILE_CHANNELS;
        const int group = first_channel / GROUP_IN;
        const int first_group = first_channel / SAMPLE_CHANNELS;
        const int planned = PLANS > 1 || first_channel % SAMPLE_CHANNELS == 0 ? PLANNED : 0;
        for (int i = t; i < planned; i += ITEMS) { /* ITEMS is a multiple of TILE_PIXELS: the pixel is the same each time */
            const int tap = i / TILE_PIXELS % TAPS;
% if offset_groups:
            const int g = first_group + i / (TILE_PIXELS * TAPS);
% endif
            ${planned.make("i")}
% if needs_input and fixed:
            ways[i] = fixed_corner_ways(pixel_ways + (index_t)${"g" if offset_groups else "0"} * ring_pixels + PLAN_PIXEL(plan[i]), width);
% endif
% if dots:
            dots[i] = (quad_t)(ACC(0.0));
% endif
        }
        const int channel = first_channel + 4 * (t % ITEMS_X);
        const int own_plan = (channel / SAMPLE_CHANNELS - first_group) * TAPS * TILE_PIXELS;
        __global const acc_t *group_weights = packed + ((index_t)group * TAPS * GROUP_IN + first_channel - group * GROUP_IN) * GROUP_OUT;

% if needs_input and fixed:
        const quad_t channel_scale = vload4(0, channel_scales + channel);
% endif

        for (int tap = 0; tap < TAPS; ++tap) {
            quad_t sum[ITEM_PIXELS][1];
            #pragma unroll
            for (int j = 0; j < ITEM_PIXELS; ++j) sum[j][0] = (quad_t)(ACC(0.0));
            for (int out = 0; out < GROUP_OUT; out += TILE_OUT) {
                for (int i = t / TILE_PIXELS; i < TILE_OUT; i += GRAD_ROWS)
                    grad_factors[i * GRADS_ROW * 4 + t % TILE_PIXELS] = GROUP_OUT % TILE_OUT == 0 || out + i < GROUP_OUT
                        ? load_data(grad, (index_t)(group * GROUP_OUT + out + i) * pixels) : ACC(0.0);
                for (int i = t; i < TILE_OUT * TILE_CHANNELS; i += ITEMS) {
                    const int o = i % TILE_OUT, c = i / TILE_OUT;
                    weight_factors[o * WEIGHTS_ROW * 4 + c] = GROUP_OUT % TILE_OUT == 0 || out + o < GROUP_OUT
                        ? group_weights[((index_t)tap * GROUP_IN + c) * GROUP_OUT + out + o] : ACC(0.0);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
${quads.multiply("TILE_OUT", "4", "ITEM_PIXELS", "weights", "WEIGHTS_ROW", "grads", "GRADS_ROW")}\
                barrier(CLK_LOCAL_MEM_FENCE);
            }
            #pragma unroll
            for (int j = 0; j < ITEM_PIXELS; ++j) {
                const int in_tile = 4 * (t / ITEMS_X + j / 4 * ITEMS_Y) + j % 4;
                const int here = own_plan + tap * TILE_PIXELS + in_tile;
                const plan_t its = plan[here];
% if dots or not fixed:
                const index_t place = (index_t)PLAN_PIXEL(its) * IN_CHANNELS + channel;
% endif
                const quad_t column = sum[j][0];
% if dots:
                acc_t dot[4];
                #pragma unroll
                for (int i = 0; i < CORNERS; ++i) dot[i] = dot_quad(column, load_ring(ring + place + steps[i]));
                parts[in_tile * ITEMS_X + t % ITEMS_X] = (quad_t)(dot[0], dot[1], dot[2], dot[3]);
% endif
% if needs_input:
                if (in_tile < real_pixels && PLAN_PIXEL(its) != RING_OUTSIDE) {
% if fixed:
                    fixed_add_corners(grad_sums, grad_marks, channel, its, ways[here], column, channel_scale, width);
% else:
                    const sample_t s = planned_sample(its, 0);
                    for (int i = 0; i < CORNERS; ++i) {
                        const quad_t through = its.y * corner_weight(s, i) * column;
                        atomic_add_quad(grad_ring + place + steps[i], through);
                    }
% endif
                }
% endif
            }
% if dots:
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int i = t; i < PLANS * TILE_PIXELS; i += ITEMS) {
                const int g = i / TILE_PIXELS, in_tile = i % TILE_PIXELS;
                quad_t total = dots[(g * TAPS + tap) * TILE_PIXELS + in_tile];
                for (int x = 0; x < GROUP_ITEMS; ++x) total += parts[in_tile * ITEMS_X + g * GROUP_ITEMS + x];
                dots[(g * TAPS + tap) * TILE_PIXELS + in_tile] = total;
            }
% endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
% if dots:
        const int done = PLANS > 1 || (first_channel + TILE_CHANNELS) % SAMPLE_CHANNELS == 0 ? PLANNED : 0;
        for (int i = t; i < done; i += ITEMS) {
            if (i % TILE_PIXELS >= real_pixels) break;
            const int tap = i / TILE_PIXELS % TAPS;
            const int g = first_group + i / (TILE_PIXELS * TAPS);
            const sample_t s = planned_sample(plan[i], gates[i]);
            const acc_t dot[4] = {dots[i].s0, dots[i].s1, dots[i].s2, dots[i].s3};
            ${planned.store_gradients("plan[i].y", "dot")}
        }
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
    }
}
