/* backward_weight_tile: the gradient of the weight for any GPU, an implicit product whose tiles meet in local memory; bit-identical from
 * run to run.
 *
 *     grad_weight[o, c, tap] = sum over pixels p of the batch: grad_output[o][p] * panel[p][c]      panel = mask * B at the tap
 *
 * ring [..][C], the input with its channels innermost in a ring of zeros, see ring_last; offset [N][OG][K][2][P], mask [N][OG][K][P],
 * grad_output [N][O][P] as the caller has them; grad_weight [SPLITS][O][C/groups][K] (of acc_t where SPLITS > 1: partial sums, which the
 * kernel reduce adds in order).
 *
 * Work-group (s, j, tap): pixels [s * split_pixels, ..) of the batch, times TILE_CHANNELS channels and TILE_OUT outputs of a group, which
 * are tile j. Its work-items plan the samples of as many pixels as they are, each those of one; then they take TILE_PIXELS of them at a
 * time and do two jobs, with a barrier between them:
 *   sample:   lane t % LANES takes VEC channels of pixels t / LANES + pass * ROWS, so that LANES neighbours read one pixel's channels
 *             together; and outputs t / TILE_PIXELS + i * GRAD_ROWS of grad_output's pixel t % TILE_PIXELS
 *   multiply: see quads; channels along x, outputs along y
 *
 * Local memory: plan [PLANS][ITEMS], of the sample groups of the tile's channels (see plan); panel [TILE_PIXELS][TILE_CHANNELS / 4 + 1],
 * grads [TILE_PIXELS][TILE_OUT / 4 + 1], of vectors of 4: the odd lengths spread columns over the banks. */
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="quads" file="quads.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="quads.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define TILE_OUT ${tile_out}
#define ITEM_CHANNELS ${item_channels}
#define ITEM_OUT ${item_out}
#define CHANNEL_TILES ((GROUP_IN + TILE_CHANNELS - 1) / TILE_CHANNELS)
#define OUT_TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define PLANS ${plans}
#define ITEMS_X (TILE_CHANNELS / ITEM_CHANNELS)
#define ITEMS_Y (TILE_OUT / ITEM_OUT)
#define ITEMS (ITEMS_X * ITEMS_Y)
#define LANES (TILE_CHANNELS / VEC)
#define ROWS (ITEMS / LANES)
#define PASSES (TILE_PIXELS / ROWS)
#define GRAD_ROWS (ITEMS / TILE_PIXELS)
#define PANEL_ROW (TILE_CHANNELS / 4 + 1)
#define GRADS_ROW (TILE_OUT / 4 + 1)

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_weight_tile(
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
    __local plan_t plan[PLANS * ITEMS];
    __local quad_t panel[TILE_PIXELS * PANEL_ROW];
    __local quad_t grads[TILE_PIXELS * GRADS_ROW];
    __local acc_t *samples = (__local acc_t *)panel;
    __local acc_t *factors = (__local acc_t *)grads;
    const int t = (int)get_local_id(0);
    const int lane = t % LANES;
    const int tap = (int)get_group_id(2);
    const int tile = (int)get_group_id(1) % (CHANNEL_TILES * OUT_TILES);
    const int group = (int)get_group_id(1) / (CHANNEL_TILES * OUT_TILES);
    const int tile_channel = tile % CHANNEL_TILES * TILE_CHANNELS; /* in the group, as tile_out */
    const int tile_out = tile / CHANNEL_TILES * TILE_OUT;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * split_pixels;
    const long end = min(first + split_pixels, (long)batch * pixels);
    const int in_group = tile_channel + lane * VEC;
    const int channel = group * GROUP_IN + in_group;
    const int real = GROUP_IN % TILE_CHANNELS == 0 || in_group < GROUP_IN;
    const int first_group = (group * GROUP_IN + tile_channel) / SAMPLE_CHANNELS;
    __local const plan_t *mine = plan + (real ? channel / SAMPLE_CHANNELS - first_group : 0) * ITEMS;

    quad_t sum[ITEM_OUT][ITEM_CHANNELS / 4];
    #pragma unroll
    for (int j = 0; j < ITEM_OUT; ++j)
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS / 4; ++i) sum[j][i] = (quad_t)(ACC(0.0));

    for (long begin = first; begin < end; begin += ITEMS) {
        const long at = min(begin + t, end - 1);
        const int n = (int)(at / pixels);
        const index_t pixel = at % pixels;
        const int oy = (int)pixel / out_width, ox = (int)pixel % out_width;
        for (int i = 0; i < PLANS; ++i) {
% if offset_groups:
            const int g = min(first_group + i, SAMPLE_GROUPS - 1);
% endif
            const plan_t made = ${plan.here("g")};
            plan[i * ITEMS + t] = begin + t < end ? made : (plan_t)(PIXEL_IN_PLAN(RING_OUTSIDE), ACC(0.0), ACC(0.0), ACC(0.0));
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < ITEMS && begin + step < end; step += TILE_PIXELS) {
            #pragma unroll
            for (int pass = 0; pass < PASSES; ++pass) {
                const int row = t / LANES + pass * ROWS;
                acc_t value[VEC];
                if (real) {
                    sample_ring(ring, mine[step + row], channel, below, value);
                } else {
                    #pragma unroll
                    for (int i = 0; i < VEC; ++i) value[i] = ACC(0.0);
                }
                #pragma unroll
                for (int i = 0; i < VEC; ++i) samples[row * PANEL_ROW * 4 + lane * VEC + i] = value[i];
            }
            const int row = t % TILE_PIXELS;
            const long from = min(begin + step + row, end - 1);
            const int there = begin + step + row < end;
            __global const data_t *grad = grad_output + (index_t)(from / pixels * OUT_CHANNELS + group * GROUP_OUT) * pixels + from % pixels;
            #pragma unroll
            for (int i = t / TILE_PIXELS; i < TILE_OUT; i += GRAD_ROWS)
                factors[row * GRADS_ROW * 4 + i] = there && tile_out + i < GROUP_OUT ? load_data(grad, (index_t)(tile_out + i) * pixels) : ACC(0.0);
            barrier(CLK_LOCAL_MEM_FENCE);
${quads.multiply("TILE_PIXELS", "ITEM_CHANNELS", "ITEM_OUT", "panel", "PANEL_ROW", "grads", "GRADS_ROW")}\
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }

    __global ${"acc_t" if partial else "data_t"} *to = grad_weight + (index_t)get_group_id(0) * OUT_CHANNELS * GROUP_IN * TAPS;
    #pragma unroll
    for (int j = 0; j < ITEM_OUT; ++j) {
        const int out = tile_out + 4 * (t / ITEMS_X + j / 4 * ITEMS_Y) + j % 4;
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS / 4; ++i) {
            const int c = tile_channel + 4 * (t % ITEMS_X + i * ITEMS_X);
            const index_t at = ((index_t)(group * GROUP_OUT + out) * GROUP_IN + c) * TAPS + tap;
% for q in range(4):
            if (out < GROUP_OUT && c + ${q} < GROUP_IN) \
% if partial:
to[at + ${q} * TAPS] = sum[j][i].s${q};
% else:
store_data(to, at + ${q} * TAPS, sum[j][i].s${q});
% endif
% endfor
        }
    }
}
