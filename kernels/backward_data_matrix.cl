/* backward_data_matrix: the gradients of input, offset and mask by matrix units, an implicit product whose sums are used where they are.
 *
 *     column[p][c]          = sum over outputs o of c's group: grad_output[o][p] * weight[o][c]                              at one tap
 *     dot[corner][p]        = sum over channels c of a sample group: column[p][c] * (ring at p's corner)[c]
 *     grad_mask             = blend(dot), grad_offset = mask * blend_dy(dot), mask * blend_dx(dot)
 *     grad_ring[corner][c] += mask * column[p][c] * (weight of corner)
 *
 * Both factors are halves, sums are float32. float32 data is cut in two halves, and three products (high x high, low x high, high x low)
 * give 22 bits; grad_output is scaled by a power of two of its pixel, the weight by one of its channel. A matrix unit truncates when it adds,
 * so a chunk of outputs is summed from zero before it is added to the total by an ordinary addition. Columns of which halves can't hold a
 * factor are summed once more from the operands as the caller has them.
 *
 * ring, grad_ring [..][C], channels innermost in a ring of zeros, see ring_last; grad_ring of float, zero before, what is added outside the
 * image is dropped by ring_first; where offset groups have few channels, each has a ring of its own. packed, unscale see pack_weight_back.
 * offset [N][OG][K][2][P], mask [N][OG][K][P], grad_output [N][O][P], weight [O][C/groups][K], grad_offset, grad_mask; kept_plans see plan.
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips, and part j of SPLITS of the taps. Its
 * grad_output stays in local memory. It takes TILE_OUT channels at a time, which lie in one group, and in one sample group or over whole
 * ones, and tap after tap, or teams of work-items take turns at the taps: a chunk's pixels stay in the cache while its taps read them. A warp
 * multiplies WARP_PIXELS and WARP_CHANNELS (see matrix_back), and goes back through its samples.
 *
 * Local memory: plan (see plan) and gates [PLAN_SETS][PLANS][TILE_PIXELS], of its taps, or of this and the next where there are many;
 * halves, see grad_halves; weights [TEAMS][STAGES][STAGE], rings of stages (see matrix_back)${"; dots [WARPS_ACROSS][TAPS_AT_MOST][TILE_PIXELS], of corners" if dotted else ""}${"; window, see there" if window_rows else ""}. */
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="plans_of" file="back_plans.cl"/>\
<%namespace name="products" file="back_products.cl"/>\
<%namespace name="way_back" file="planned_sample.cl"/>\
<%
dots = needs_offset or needs_mask
paired = needs_input and not fixed_bits and not keeps_plans  # offset groups of few channels
exact = parts == 2 and out_channels // groups > 64  # sums in stages; where factors are rounded to 11 bits, what a matrix unit truncates is far below
sum = "sum" if exact else "total"
fixed = fixed_bits > 0
target = "{grad_ring + first_channel + own_channel + BESIDE(rows)}"
if fixed:
    target = "{grad_sums, grad_marks, ways + own_plans + warp_pixel, own_scales[REAL(rows) ? BESIDE(rows) / 4 : 0], REAL(rows) ? first_channel + own_channel + BESIDE(rows) : 0}"
elif paired:
    target = "{grad_ring + (first_group + own_channel / SAMPLE_CHANNELS) * ring_pixels * SAMPLE_CHANNELS + own_channel % SAMPLE_CHANNELS, ring_pixels * SAMPLE_CHANNELS}"
steps = ("", " + IN_CHANNELS", " + below", " + below + IN_CHANNELS")[: 4 if offset_groups else 1]
besides = (0, 2) if unit == "wgmma" else (0,)  # of a warp's rows, those with which others of the same pixels begin, see back_samples
%>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="quads.cl"/>
<%include file="matrix_back.cl"/>
<%include file="matrix_nvidia.cl"/>
<%include file="scale.cl"/>
% if needs_input:
<%include file="atomic.cl"/>
% endif
#define TILE_PIXELS ${tile_pixels}
#define TEAMS ${teams} /* of work-items, that share out the taps */
#define TEAM_ITEMS (TILE_PIXELS * TILE_OUT / 32)
#define ITEMS (TEAMS * TEAM_ITEMS)
#define WARPS_ACROSS (TILE_OUT / WARP_CHANNELS)
#define REAL(rows) (GROUP_IN % TILE_OUT == 0 || in_group + own_channel + BESIDE(rows) < GROUP_IN)
#define PLANS ${plans}
#define PLANNED (PLANS * TILE_PIXELS)
#define STAGES 2
#define STAGE_VECS (STAGE / 8)
#define SUM_CHUNKS (64 / CHUNK)
<%include file="grad_halves.cl"/>
<%include file="back_plans.cl"/>
<%include file="back_products.cl"/>
<%include file="planned_sample.cl"/>
<%include file="back_samples.cl"/>
% if needs_input and fixed:
<%include file="fixed_samples.cl"/>
% elif needs_input:
<%include file="float_samples.cl"/>
% endif
% if window_rows:
<%include file="window.cl"/>
% endif
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_data_matrix(
    __global const data_t *restrict grad_output,
% if dots:
    __global const data_t *restrict ring,
% endif
${plan.operands()}\
    __global const uint4 *restrict packed,
    __global const float4 *restrict unscale,
    __global const data_t *restrict weight,
% if needs_input and fixed:
    __global const uchar *restrict pixel_ways,
    __global const float4 *restrict channel_scales,
    __global ulong *grad_sums,
    __global uint *grad_marks,
% elif needs_input:
    __global float *grad_ring,
% endif
% if needs_offset:
    __global offset_t *restrict grad_offset,
% endif
% if needs_mask:
    __global mask_t *restrict grad_mask,
% endif
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[PLAN_SETS * PLANNED];
% if dots and not planned:
    __local uchar gates[PLAN_SETS * PLANNED];
% endif
% if needs_input and fixed:
    __local uchar4 ways[PLAN_SETS * PLANNED];
% endif
% if window_rows:
    __local int window[WINDOW_CELLS * CELL];
    __local float4 factors[TILE_OUT / 4];
    __local short cells[PLAN_SETS * PLANNED];
    __local int room[WINDOW_CELLS];
    __local uint most[2];
    __local int mean[4];
% endif
    __local uint4 weights[TEAMS * STAGES * STAGE_VECS];
    __local uint4 grads[PARTS * GRAD_PART / 8]${" __attribute__((aligned(1024)))" if unit == "wgmma" else ""};
    __local float unscaled[TILE_PIXELS];
    __local int2 places[TILE_PIXELS]; /* image and pixel */
    __local float4 tile_unscale[TILE_OUT / 4];
    __local int doubted[1];
% if dotted:
    __local float dots[WARPS_ACROSS * TAPS_AT_MOST * TILE_PIXELS * 4];
% endif
    __local ushort *halves = (__local ushort *)grads;
    __local float4 *counted = (__local float4 *)weights; /* before there are any */
    const int t = (int)get_local_id(0);
% if needs_input and fixed or paired:
    const index_t ring_pixels = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
% endif
    const int lane = t % 32;
    const int warp_pixel = t / 32 % (TILE_PIXELS / WARP_PIXELS) * WARP_PIXELS;
    const int team = t / TEAM_ITEMS, own = t % TEAM_ITEMS;
    const int across = own / 32 / (TILE_PIXELS / WARP_PIXELS); /* its warp's place along the channels */
    const int own_channel = across * WARP_CHANNELS + 4 * (lane % 8); /* in the tile, the first of its quad */
    __local const float4 *own_unscale = tile_unscale + own_channel / 4;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const int real_pixels = (int)min((long)TILE_PIXELS, (long)batch * pixels - first);
    const long at = first + min(t % TILE_PIXELS, real_pixels - 1);
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    const int n = (int)(at / pixels), oy = p.x, ox = p.y;
    if (t < TILE_PIXELS) places[t] = (int2)(n, oy * out_width + ox);
% if window_rows:
    int origin = 0;
    for (int i = t; i < WINDOW_CELLS * CELL; i += ITEMS) window[i] = 0;
% endif

    for (int tile = 0; tile < GROUPS * TILES; ++tile) {
        const int group = tile / TILES;
        const int in_group = tile % TILES * TILE_OUT;
        const int first_channel = group * GROUP_IN + in_group;
        const int first_group = first_channel / SAMPLE_CHANNELS;
% if needs_input and fixed:
        __global const float4 *own_scales = channel_scales + (REAL(0) ? first_channel + own_channel : 0) / 4;
% endif
        __global const uint4 *stages = packed + ((index_t)tile * TAPS + FIRST_TAP + team) * CHUNKS * STAGE_VECS;
        int ahead = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t == 0) doubted[0] = 0;
        if (t < TILE_OUT / 4) tile_unscale[t] = unscale[tile * TILE_OUT / 4 + t];
        if (in_group == 0)
            load_grad_halves(grad_output + ((index_t)places[t % TILE_PIXELS].x * OUT_CHANNELS + group * GROUP_OUT) * pixels + places[t % TILE_PIXELS].y, pixels, halves,
                             unscaled, counted);
        const int taps = (PAST_TAP - FIRST_TAP - team + TEAMS - 1) / TEAMS; /* of the team */
        if (taps > 0) ${products.fetch_weights()}
        barrier(CLK_LOCAL_MEM_FENCE);
        if (isnan(unscaled[t % TILE_PIXELS] + dot_quad(own_unscale[0]${" + own_unscale[8]" if unit == "wgmma" else ""}, (float4)(1.0f)))) doubted[0] = 1;
        const int new_plans = ${"first_channel % SAMPLE_CHANNELS == 0" if keeps_plans else "1"};
% if planned and teams == 1:
        if (new_plans) ${plans_of.make_plans("FIRST_TAP", "FIRST_TAP + 1")}
% elif keeps_plans or planned:
        if (new_plans) ${plans_of.make_plans("FIRST_TAP", "PAST_TAP")}
% else:
        begun_t begun[PLANS_AT_ONCE];
        ${plans_of.begin_plans("FIRST_TAP")}
        ${plans_of.finish_plans("FIRST_TAP")}
% endif
% if dotted:
        for (int i = t; i < (new_plans ? WARPS_ACROSS * TAPS_AT_MOST * TILE_PIXELS * 4 : 0); i += ITEMS) dots[i] = 0.0f;
% endif
% if window_rows or teams > 1:
        publish_copies();
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
% if window_rows:
        if (new_plans || in_group == 0) origin = plan_window(plan, unscaled, real_pixels, ${plans_of.window_origin()}, width, cells, room, most, mean);
        const float quanta = window_quanta(most, mean);
        if (t < TILE_OUT) ((__local float *)factors)[t] = window_factor(((__local const float *)tile_unscale)[t], most[MOST_SIZE]);
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
        for (int k = 0; k < taps; ++k) {
            const int tap = FIRST_TAP + team + k * TEAMS;
            const int own_plans = (PLAN_SET(tap) * PLANS + (PLANS > 1 ? own_channel / SAMPLE_CHANNELS : 0)) * TILE_PIXELS;
            float total[2][4][4]${", sum[2][4][4]" if exact else ""};
            ${products.zero("total")}
            for (int chunk = 0; chunk < CHUNKS; ++chunk) {
                publish_copies();
                ${"barrier(CLK_LOCAL_MEM_FENCE)" if teams == 1 else "barrier_of(team + 1, TEAM_ITEMS)"};
                __local const uint4 *stage = weights + ((team * STAGES + (k * CHUNKS + chunk) % STAGES) * WARPS_ACROSS + across) * (STAGE_VECS / WARPS_ACROSS);
                if (ahead < taps * CHUNKS) ${products.fetch_weights()}
% if planned and teams == 1:
                if (chunk == 0 && new_plans && tap + 1 < PAST_TAP) ${plans_of.make_plans("tap + 1", "tap + 2")}
% elif not keeps_plans:
                if (chunk == 0) ${plans_of.begin_plans("min(tap + 1, PAST_TAP - 1)")}
% endif
% if exact:
                if (chunk % SUM_CHUNKS == 0) {
                    ${products.zero("sum")}
                }
% endif
                add_products(${sum}, halves, stage, chunk * CHUNK, warp_pixel);
% if exact:
                if (chunk % SUM_CHUNKS == SUM_CHUNKS - 1 || chunk == CHUNKS - 1) {
                    #pragma unroll
                    for (int i = 0; i < 32; ++i) total[i / 16][i / 4 % 4][i % 4] += sum[i / 16][i / 4 % 4][i % 4];
                }
% endif
            }
% if not keeps_plans and not planned:
            ${plans_of.finish_plans("tap + 1")}
% endif
            const int doubtful = doubted[0];
            if (doubtful)
                settle(total, unscaled + warp_pixel, tile_unscale + across * WARP_CHANNELS / 4, grad_output, weight, places + warp_pixel, pixels,
                       first_channel + across * WARP_CHANNELS, GROUP_IN - in_group - across * WARP_CHANNELS, tap);
            /* From here on, column[rows][i] is the lane's quad BESIDE(rows) of pixel warp_pixel + PAIR(rows) + i. */
            float4 column[4][2];
            #pragma unroll
            for (int rows = 0; rows < 4; ++rows) {
                pair_up(total[rows / 2], rows % 2, column[rows]);
                const float4 by = doubtful ? (float4)(1.0f) : own_unscale[BESIDE(rows) / 4];
                #pragma unroll
                for (int i = 0; i < 2; ++i) column[rows][i] = column[rows][i] * (doubtful ? 1.0f : unscaled[warp_pixel + PAIR(rows) + i]) * by;
            }
            __local const plan_t *its = plan + own_plans + warp_pixel;
% if needs_input:
            const target_t to[] = {${", ".join(target.replace("rows", str(rows)) for rows in besides)}};
            const int heap = in_one_cell(its);
% for b, rows in enumerate(besides):
            if (heap) add_heap(to[${b}], column + ${rows}, its, REAL(${rows}) ? real_pixels - warp_pixel : 0, width);
% endfor
% endif
            #pragma unroll
            for (int row = 0; row < PIXEL_ROWS; ++row) {
% if dots:
                float dot[2][4];
% endif
                #pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const plan_t at = its[PAIR(row) + i]; /* of channels that aren't real: where zeros are */
% for rows in besides if dots else ():
                    __global const data_t *from_${rows} = ring + (REAL(${rows}) ? (index_t)PLAN_PIXEL(at) * IN_CHANNELS + first_channel + own_channel + BESIDE(${rows}) : 0);
% for q, step in enumerate(steps):
                    dot[i][${q}] = ${"" if rows == 0 else "dot[i][%d] + " % q}dot_quad(column[row + ${rows}][i], load_ring(from_${rows}${step}));
% endfor
% endfor
% if needs_input and not paired:
                    const int adds = warp_pixel + PAIR(row) + i < real_pixels && PLAN_PIXEL(at) != RING_OUTSIDE && !heap;
% endif
% if window_rows:
                    const int cell = adds ? cells[own_plans + warp_pixel + PAIR(row) + i] : NO_CELL;
% endif
% for b, rows in enumerate(besides):
% if paired:
                    add_with_next(to[0], its + PAIR(row) + i, column[row][i], width, REAL(0) && warp_pixel + PAIR(row) + i < real_pixels && !heap);
% elif needs_input:
% if window_rows:
                    if (cell == NO_CELL || !add_to_window(window + cell * CELL + own_channel + BESIDE(${rows}), at, quanta, column[row + ${rows}][i], factors[(own_channel + BESIDE(${rows})) / 4]))
% endif
                    if (adds && REAL(${rows})) add_to_corners(to[${b}], at, PAIR(row) + i, column[row + ${rows}][i], width);
% endif
% endfor
                }
% if dots:
% if dotted:
                dots[((across * TAPS_AT_MOST + tap - FIRST_TAP) * TILE_PIXELS + warp_pixel + row * 8 + lane / 4) * 4 + lane % 4] += summed_dot(dot);
% else:
                ${plans_of.store_row()}
% endif
% endif
            }
        }
% if window_rows or dotted:
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
% if window_rows:
        empty_window(window, factors, quanta, grad_ring + first_channel, origin, width);
% endif
% if dotted:
        if ((group * GROUP_IN + min(in_group + TILE_OUT, GROUP_IN)) % SAMPLE_CHANNELS == 0) ${plans_of.store_dots()}
% endif
    }
}
