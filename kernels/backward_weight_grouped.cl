/* backward_weight_grouped: the gradient of the weight for few channels a group, down to depthwise; bit-identical from run to run.
 *
 *     grad_weight[o, c, tap] = sum over pixels p of the batch: grad_output[o][p] * sample[p][c]      sample = mask * B at the tap
 *
 * ring [..][C], see ring_last; offset [N][OG][K][2][P], mask [N][OG][K][P], grad_output [N][O][P] as the caller has them; grad_weight
 * [SPLITS][O][C/groups][K] (of acc_t where SPLITS > 1: partial sums, which the kernel reduce adds in order).
 *
 * Work-group (s, j, k): pixels [s * split_pixels, ..) of the batch, each image in the order of strips, channels [j * CHUNK, ..), whole groups, and taps [k * TILE_TAPS, ..).
 * Work-item t: channels t % LANES * VEC + [0, VEC), all of one group or, where a group is one channel, of VEC groups, with all outputs of
 * theirs, so that each sample is made once; tap t / (LANES * ROWS); and of each TILE_PIXELS pixels those of row t / LANES % ROWS, ROWS
 * apart. Neighbours read whole lines of the ring. Rows are added in order in the end.
 *
 * Local memory: plan [PLANS][TILE_TAPS][TILE_PIXELS], of the sample groups of these channels (see plan); grads [TILE_PIXELS][GRADS_ROW] of
 * the chunk's outputs; sums [ITEMS], where rows meet. */
<%namespace name="plan" file="plan.cl"/>\
<% depthwise = in_channels == groups %>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_TAPS ${tile_taps}
#define LANES ${lanes}
#define ROWS ${rows}
#define ITEMS (LANES * TILE_TAPS * ROWS)
#define CHUNK (LANES * VEC)
#define PLANS ${plans}
#define PLANNED (PLANS * TILE_TAPS * TILE_PIXELS)
#define VEC_OUT ${vec_out}
#define OUTS (CHUNK / GROUP_IN * GROUP_OUT)
#define GRADS_ROW (OUTS / VEC_OUT)
#define GRAD_ROWS (ITEMS / TILE_PIXELS)
% if vec_out == 1:
#define outs_t acc_t
% else:
#define outs_t ${"double" if accumulator == "float64" else "float"}${vec_out}
% endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_weight_grouped(
    __global const data_t *restrict grad_output,
    __global const data_t *restrict ring,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    __global ${"acc_t" if partial else "data_t"} *restrict grad_weight,
    int batch, int height, int width, int out_height, int out_width, int split_pixels)
{
    __local plan_t plan[PLANNED];
    __local outs_t grads[TILE_PIXELS * GRADS_ROW];
    __local acc_t *factors = (__local acc_t *)grads;
% if rows > 1:
    __local vec_t sums[ITEMS];
% endif
    const int t = (int)get_local_id(0);
    const int lane = t % LANES, row = t / LANES % ROWS, tap_in_tile = t / (LANES * ROWS);
    const int first_tap = (int)get_group_id(2) * TILE_TAPS;
    const int first_channel = (int)get_group_id(1) * CHUNK;
    const int first_out = first_channel / GROUP_IN * GROUP_OUT;
    const int first_plan = first_channel / SAMPLE_CHANNELS;
    const int channel = first_channel + lane * VEC;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * split_pixels;
    const long end = min(first + split_pixels, (long)batch * pixels);
    __local const plan_t *mine = plan + ((channel / SAMPLE_CHANNELS - first_plan) * TILE_TAPS + tap_in_tile) * TILE_PIXELS;
    vec_t sum[GROUP_OUT];
    #pragma unroll
    for (int o = 0; o < GROUP_OUT; ++o) sum[o] = (vec_t)(ACC(0.0));

    for (long begin = first; begin < end; begin += TILE_PIXELS) {
        /* ITEMS is a multiple of TILE_PIXELS: a work-item loads for one pixel */
        const int there = begin + t % TILE_PIXELS < end;
        const index_t at = (index_t)min(begin + t % TILE_PIXELS, end - 1);
        const int n = (int)(at / pixels);
        const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
        const int oy = p.x, ox = p.y;
        const index_t pixel = (index_t)oy * out_width + ox;
        for (int i = t; i < PLANNED; i += ITEMS) {
            const int tap = min(first_tap + i / TILE_PIXELS % TILE_TAPS, TAPS - 1);
% if offset_groups:
            const int g = min(first_plan + i / (TILE_PIXELS * TILE_TAPS), SAMPLE_GROUPS - 1);
% endif
            const plan_t made = ${plan.here("g")};
            plan[i] = there ? made : (plan_t)(PIXEL_IN_PLAN(RING_OUTSIDE), ACC(0.0), ACC(0.0), ACC(0.0));
        }
        __global const data_t *grad = grad_output + ((index_t)n * OUT_CHANNELS + first_out) * pixels + pixel;
        #pragma unroll 4
        for (int i = t / TILE_PIXELS; i < OUTS; i += GRAD_ROWS)
            factors[t % TILE_PIXELS * OUTS + ${"i % GROUP_OUT * CHUNK + i / GROUP_OUT" if depthwise else "i"}] =
                there ? load_data(grad, (index_t)i * pixels) : ACC(0.0);
        barrier(CLK_LOCAL_MEM_FENCE);
        #pragma unroll 4
        for (int i = 0; i < TILE_PIXELS / ROWS; ++i) {
            const int in_tile = row + i * ROWS;
            acc_t value[VEC];
            sample_ring(ring, mine[in_tile], channel, below, value);
            const vec_t sample = (vec_t)(${", ".join("value[%d]" % q for q in range(vec))});
% if depthwise:
            __local const outs_t *own = grads + in_tile * GRADS_ROW + lane;
            #pragma unroll
            for (int o = 0; o < GROUP_OUT; ++o) sum[o] = fma(sample, own[o * LANES], sum[o]);
% else:
            __local const outs_t *own = grads + in_tile * GRADS_ROW + lane * VEC / GROUP_IN * (GROUP_OUT / VEC_OUT);
            #pragma unroll
            for (int o = 0; o < GROUP_OUT / VEC_OUT; ++o) {
                const outs_t factor = own[o];
% for q in range(vec_out):
                sum[o * VEC_OUT + ${q}] = fma(sample, (vec_t)(factor${"" if vec_out == 1 else ".s%d" % q}), sum[o * VEC_OUT + ${q}]);
% endfor
            }
% endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    __global ${"acc_t" if partial else "data_t"} *to = grad_weight + (index_t)get_group_id(0) * OUT_CHANNELS * GROUP_IN * TAPS;
    const int tap = first_tap + tap_in_tile;
    #pragma unroll
    for (int o = 0; o < GROUP_OUT; ++o) {
        vec_t total = sum[o];
% if rows > 1:
        sums[t] = total;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int r = 1; r < (row == 0 ? ROWS : 0); ++r) total += sums[t + r * LANES];
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
        if (row == 0 && tap < TAPS) {
% for q in range(vec):
<% out = "(channel + %d) / GROUP_IN * GROUP_OUT + o" % q %>\
            ${"to[" if partial else "store_data(to, "}((index_t)(${out}) * GROUP_IN + (channel + ${q}) % GROUP_IN) * TAPS + tap${"] = " if partial else ", "}total${"" if vec == 1 else ".s%d" % q}${";" if partial else ");"}
% endfor
        }
    }
}
