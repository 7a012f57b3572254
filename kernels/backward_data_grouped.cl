/* backward_data_grouped: the gradients of input, offset and mask for few channels a group, down to depthwise, with an atomic add.
 *
 *     column[p][c]          = sum over outputs o of c's group: grad_output[o][p] * weight[o][c]                              at one tap
 *     dot[corner][p]        = sum over channels c of a sample group: column[p][c] * (ring at p's corner)[c]
 *     grad_mask             = blend(dot), grad_offset = mask * blend_dy(dot), mask * blend_dx(dot)
 *     grad_ring[corner][c] += mask * column[p][c] * (weight of corner)
 *
 * ring, grad_ring [..][C], channels innermost in a ring of zeros, see ring_last; grad_ring of acc_t, zero before, what is added outside the
 * image is dropped by ring_first. Sums in fixed point take its place where they must be the same to the bit (see fixed). weight
 * [O][C/groups][K], offset [N][OG][K][2][P], mask [N][OG][K][P], grad_output [N][O][P], grad_offset and grad_mask as the caller has them.
 *
 * Work-group i: pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips. It takes CHUNK channels at a time, whole
 * groups that lie in one sample group or are whole ones: so its sums over channels are its own. Work-item t: pixel t / LANES, channels
 * t % LANES * VEC + [0, VEC), all of one group or, where a group is one channel, of VEC groups: neighbours read and add to whole lines of
 * the rings. It keeps the gradients of its group's outputs, and goes through the taps without a barrier. It plans and finishes samples of
 * pixel t % TILE_PIXELS.
 *
 * Where all samples of a tap lie in one cell, a heap, those who add would wait for each other in one place: the work-items go through the
 * heaps once more, each through some of their pixels, whose columns it sums before it adds.
 *
 * Local memory: plan (see plan) and gates [PLANS][TAPS][TILE_PIXELS]; weights [TAPS][GROUP_OUT][CHUNK];
 * dots [TAPS][TILE_PIXELS][DOTS_ROW] of each work-item's own channels, over all chunks of a sample group: the odd length spreads columns
 * over the banks;
 * heaps [PLANS][TAPS]; places [TILE_PIXELS] in grad_output, without its outputs. */
<%namespace name="planned" file="planned_sample.cl"/>\
<%
dots = needs_offset or needs_mask
fixed = fixed_bits > 0
%>\
## Gradients of output o of the groups of a work-item's channels.
<%def name="grads_of(grad)">\
% if vec > 1 and in_channels == groups:
(vec_t)(${", ".join("load_data(%s, (index_t)((channel + %d) * GROUP_OUT + o) * pixels)" % (grad, q) for q in range(vec))})\
% else:
(vec_t)(load_data(${grad}, (index_t)(channel / GROUP_IN * GROUP_OUT + o) * pixels))\
% endif
</%def>\
## Add `through` to the sums of corner i of the cell that starts at pixel `cell`, whose sums are kept in such ways.
<%def name="add(cell, ways)">\
% if fixed:
                    const index_t to = ${cell} + i % 2 + i / 2 * (width + 1);
                    const uint way = as_uint(${ways}) >> 8 * i & 255u;
% for q in range(vec):
                    fixed_add(grad_sums + to * IN_CHANNELS, grad_marks + to * FIXED_MARKS, channel + ${q}, through${"" if vec == 1 else ".s%d" % q}, way,
                              channel_scale${"" if vec == 1 else ".s%d" % q});
% endfor
% elif vec == 4:
                    atomic_add_quad(grad_ring + (index_t)${cell} * IN_CHANNELS + channel + steps[i], through);
% else:
% for q in range(vec):
                    atomic_add_acc(grad_ring + (index_t)${cell} * IN_CHANNELS + channel + steps[i] + ${q}, through${"" if vec == 1 else ".s%d" % q});
% endfor
% endif
</%def>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="quads.cl"/>
<%include file="planned_sample.cl"/>
% if needs_input:
<%include file="atomic.cl"/>
% endif
% if needs_input and fixed:
<%include file="fixed.cl"/>
<%include file="fixed_add.cl"/>
% if vec == 4:
<%include file="fixed_corners.cl"/>
% endif
% endif
#define TILE_PIXELS ${tile_pixels}
#define LANES ${lanes}
#define ITEMS (LANES * TILE_PIXELS)
#define CHUNK (LANES * VEC)
#define CHUNKS (IN_CHANNELS / CHUNK)
#define PLANS ${plans}
#define PLANNED (PLANS * TAPS * TILE_PIXELS)
#define SAMPLE_LANES (LANES / PLANS)
#define DOTS_ROW (LANES | 1)
#define HEAP_PARTS ${max(1, tile_pixels // heap_pixels)}

static inline acc_t dot_vec(vec_t a, vec_t b) { return ${"a * b" if vec == 1 else " + ".join("a.s%x * b.s%x" % (n, n) for n in range(vec))}; }

% if needs_input:
/* Whether a tap's samples are a heap: if not, that is mostly seen at the second one. */
static inline int in_one_cell(__local const plan_t *its)
{
    const int cell = PLAN_PIXEL(its[0]);
    int same = cell != RING_OUTSIDE;
    #pragma unroll 1
    for (int pixel = 1; pixel < TILE_PIXELS && same; ++pixel) same = PLAN_PIXEL(its[pixel]) == cell;
    return same;
}

% endif
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_data_grouped(
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
    __global const data_t *restrict weight,
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
    __local vec_t weights[TAPS * GROUP_OUT * LANES];
    __local acc_t *factors = (__local acc_t *)weights;
% if needs_input:
    __local uchar heaps[PLANS * TAPS];
    __local index_t places[TILE_PIXELS];
% endif
% if needs_input and fixed:
    __local uchar4 ways[PLANNED];
    const index_t ring_pixels = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
% endif
% if dots:
    __local uchar gates[PLANNED];
    __local plan_t dots[TAPS * TILE_PIXELS * DOTS_ROW];
% endif
    const int t = (int)get_local_id(0);
    const int lane = t % LANES, row = t / LANES;
% if dots or not fixed:
    const int below = (width + 1) * IN_CHANNELS;
% endif
% if needs_input and not fixed:
    const int steps[4] = {0, IN_CHANNELS, below, below + IN_CHANNELS};
% endif
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const long end = (long)batch * pixels;
    const int real_pixels = (int)min((long)TILE_PIXELS, end - first);
    const index_t at = (index_t)min(first + t % TILE_PIXELS, end - 1);
    const int n = (int)(at / pixels);
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    const int oy = p.x, ox = p.y;
    const index_t pixel = (index_t)oy * out_width + ox;
    const index_t own_at = (index_t)min(first + row, end - 1);
    const int2 own = strip_pixel((int)(own_at % pixels), out_height, out_width);
    __global const data_t *grad = grad_output + own_at / pixels * OUT_CHANNELS * pixels + (index_t)own.x * out_width + own.y;
    (void)pixel; /* an ordinary convolution has no offsets to read */
% if needs_input:
    if (t < TILE_PIXELS) places[t] = (index_t)n * OUT_CHANNELS * pixels + pixel;
% endif

    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        const int first_channel = chunk * CHUNK;
        const int first_plan = first_channel / SAMPLE_CHANNELS;
        const int channel = first_channel + lane * VEC;
        const int planned = PLANS > 1 || first_channel % SAMPLE_CHANNELS == 0 ? PLANNED : 0;
        for (int i = t; i < planned; i += ITEMS) { /* ITEMS is a multiple of TILE_PIXELS: the pixel is the same each time */
            const int tap = i / TILE_PIXELS % TAPS;
% if offset_groups:
            const int g = first_plan + i / (TILE_PIXELS * TAPS);
% endif
            ${planned.make("i")}
% if needs_input and fixed:
            ways[i] = fixed_corner_ways(pixel_ways + (index_t)${"g" if offset_groups else "0"} * ring_pixels + PLAN_PIXEL(plan[i]), width);
% endif
        }
% if dots:
        for (int tap = 0; tap < (planned ? TAPS : 0); ++tap) dots[(tap * TILE_PIXELS + row) * DOTS_ROW + lane] = (plan_t)(ACC(0.0));
% endif
        for (int i = t; i < TAPS * GROUP_OUT * CHUNK; i += ITEMS) {
            const int c = first_channel + i % CHUNK, o = i / CHUNK % GROUP_OUT, tap = i / (CHUNK * GROUP_OUT);
            factors[i] = load_data(weight, ((index_t)(c / GROUP_IN * GROUP_OUT + o) * GROUP_IN + c % GROUP_IN) * TAPS + tap);
        }
        vec_t grads[GROUP_OUT];
        #pragma unroll
        for (int o = 0; o < GROUP_OUT; ++o) {
            grads[o] = ${grads_of("grad")};
        }
        barrier(CLK_LOCAL_MEM_FENCE);

% if needs_input:
        for (int i = t; i < (planned ? PLANS * TAPS : 0); i += ITEMS) heaps[i] = (uchar)in_one_cell(plan + i * TILE_PIXELS);
        barrier(CLK_LOCAL_MEM_FENCE);
% endif

        const int own_taps = (channel / SAMPLE_CHANNELS - first_plan) * TAPS;
% if needs_input and fixed:
        const vec_t channel_scale = ${"vload%d(0, channel_scales + channel)" % vec if vec > 1 else "channel_scales[channel]"};
% endif
        #pragma unroll 1
        for (int tap = 0; tap < TAPS; ++tap) {
            const plan_t its = plan[(own_taps + tap) * TILE_PIXELS + row];
% if dots:
            const index_t place = (index_t)PLAN_PIXEL(its) * IN_CHANNELS + channel;
            const vec_t value[4] = {load_ring(ring + place), load_ring(ring + place + IN_CHANNELS),
                                    load_ring(ring + place + below), load_ring(ring + place + below + IN_CHANNELS)};
% endif
            vec_t column = (vec_t)(ACC(0.0));
            #pragma unroll
            for (int o = 0; o < GROUP_OUT; ++o) column = fma(weights[(tap * GROUP_OUT + o) * LANES + lane], grads[o], column);
% if dots:
            const plan_t dot =
                (plan_t)(dot_vec(column, value[0]), dot_vec(column, value[1]), dot_vec(column, value[2]), dot_vec(column, value[3]));
            dots[(tap * TILE_PIXELS + row) * DOTS_ROW + lane] += dot;
% endif
% if needs_input:
            if (row < real_pixels && PLAN_PIXEL(its) != RING_OUTSIDE && !heaps[own_taps + tap]) {
% if fixed and vec == 4:
                fixed_add_corners(grad_sums, grad_marks, channel, its, ways[(own_taps + tap) * TILE_PIXELS + row], column, channel_scale, width);
% else:
                const sample_t s = planned_sample(its, 0);
                #pragma unroll
                for (int i = 0; i < CORNERS; ++i) {
                    const vec_t through = its.y * corner_weight(s, i) * column;
${add("PLAN_PIXEL(its)", "ways[(own_taps + tap) * TILE_PIXELS + row]")}\
                }
% endif
            }
% endif
        }
% if needs_input:
        for (int part = row; part < TAPS * HEAP_PARTS; part += TILE_PIXELS) {
            const int tap = part / HEAP_PARTS, heap = (own_taps + tap) * TILE_PIXELS;
            if (!heaps[own_taps + tap]) continue;
            vec_t sums[CORNERS];
            #pragma unroll
            for (int i = 0; i < CORNERS; ++i) sums[i] = (vec_t)(ACC(0.0));
            #pragma unroll 1
            for (int p = part % HEAP_PARTS; p < real_pixels; p += HEAP_PARTS) {
                vec_t column = (vec_t)(ACC(0.0));
                #pragma unroll 1 /* as many registers as the rest of the kernel wants, no more */
                for (int o = 0; o < GROUP_OUT; ++o)
                    column = fma(weights[(tap * GROUP_OUT + o) * LANES + lane], ${grads_of("grad_output + places[p]")}, column);
                const plan_t its = plan[heap + p];
                const sample_t s = planned_sample(its, 0);
                #pragma unroll
                for (int i = 0; i < CORNERS; ++i) sums[i] += its.y * corner_weight(s, i) * column;
            }
            #pragma unroll
            for (int i = 0; i < CORNERS; ++i) {
                const vec_t through = sums[i];
${add("PLAN_PIXEL(plan[heap])", "ways[heap]")}\
            }
        }
% endif
        barrier(CLK_LOCAL_MEM_FENCE);
% if dots:
        const int done = PLANS > 1 || (first_channel + CHUNK) % SAMPLE_CHANNELS == 0 ? PLANNED : 0;
        for (int i = t; i < done; i += ITEMS) {
            if (t % TILE_PIXELS >= real_pixels) break;
            const int tap = i / TILE_PIXELS % TAPS;
            const int in_chunk = i / (TILE_PIXELS * TAPS), g = first_plan + in_chunk;
            __local const plan_t *parts = dots + (tap * TILE_PIXELS + t % TILE_PIXELS) * DOTS_ROW + in_chunk * SAMPLE_LANES;
            plan_t total = parts[0];
            for (int x = 1; x < SAMPLE_LANES; ++x) total += parts[x];
            const sample_t s = planned_sample(plan[i], gates[i]);
            const acc_t dot[4] = {total.s0, total.s1, total.s2, total.s3};
            ${planned.store_gradients("plan[i].y", "dot")}
        }
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
    }
}
