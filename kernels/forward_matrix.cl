/* forward_matrix: the forward pass by matrix units, an implicit product whose samples never leave the registers.
 *
 *     output[n, o, p] = bias[o] + sum over k = (chunk of channels, tap, channel): sample[p][k] * weight[o][k]      sample = mask * B
 *
 * Both factors are halves, sums are float32. float32 data is cut in two halves, and three products (high x high, low x high, high x low)
 * give 22 bits. Samples are scaled by a power of two of their output pixel, from what bounds those that it takes (see sample_bound);
 * weights by one of their output. A matrix unit truncates when it adds, so no more than SUM_TAPS taps of a chunk are summed from zero
 * before they are added to the total by an ordinary addition.
 *
 * ring [..][C] and largest [..] see ring_last; packed see matrix, unscale [GROUPS * TILES * TILE_OUT] see pack_weight_matrix; offset
 * [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them; kept_plans, kept_samples and kept_scales, from the
 * first tile of outputs, see plan and kept_samples. A tile of which an output isn't finite, as where no half can hold a factor, see again.
 *
 * With SPLITS > 1, so many work-groups share a tile's chunks of channels, and write sums without bias, partial [SPLITS][N][O][P], which
 * forward_sum adds up: for maps of few pixels, of which there would be too few tiles.
 *
 * Work-group (i, j, part): pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips, times tile j % TILES of the outputs
 * of group j / TILES. Team w, of 128 work-items, owns 64 pixels and all TILE_OUT outputs, warp v of a team 16 of them; its lanes sample what
 * they need as their share of the factor (see matrix), so each sample is made once. Channels outside, taps inside: a chunk's pixels stay
 * in the cache while all taps read them. A step is one chunk at one tap: while step s is multiplied, the corners of step s + 1 become
 * samples, those of step s + 2 are fetched, and so are its weights.
 *
 * Teams share nothing but the weights. The second is half a step behind: it stands at its barrier after it has begun its products, the
 * first before, so that one samples while the other keeps the matrix units busy. Both fetch weights in the same interval.
 *
 * Local memory: plan [TEAMS][PLANS][TAPS][64], of a chunk's offset groups (see plan), made anew where they change; weights [STAGES][STAGE],
 * a ring (see matrix); scales [TEAMS][3][64], of the last three plans; largest_in [ITEMS]; places [TEAMS][64]: image, row, column. */
<%
corners, items = 4 if offset_groups else 1, 2 * tile_pixels
stage_vecs = vec * tile_out * parts
steady = offset_groups <= 1  # all chunks have the same plans
at_once = unit == "mma" or vec == 8  # products are waited for before samples are made: no slower with half data, whose products are few
later = not at_once and (steady or sampled or planned)  # half of the corners are fetched when products are done, to take their registers
exact = parts == 2  # sums in stages: where factors are rounded to 11 bits, what a matrix unit truncates is far below
%>\
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="kept" file="kept_samples.cl"/>\
<%namespace name="outputs" file="matrix_outputs.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="sample_bound.cl"/>
<%include file="matrix.cl"/>
<%include file="matrix_nvidia.cl"/>
% if unit == "wgmma":
<%include file="matrix_hopper.cl" args="roomy=planned and not sampled"/>
% endif
#define TILE_PIXELS ${tile_pixels}
#define TEAM 128
#define TEAM_PIXELS 64
#define TEAMS (TILE_PIXELS / TEAM_PIXELS)
#define ITEMS (TEAMS * TEAM)
#define PLANS ${plans}
#define STAGES 4
#define STAGE_VECS (STAGE / 8)
#define TOTALS (TILE_OUT / 2)
% if splits > 1:
#define FIRST_CHUNK ((int)get_group_id(2) * CHUNKS / ${splits})
#define END_CHUNK (((int)get_group_id(2) + 1) * CHUNKS / ${splits})
% else:
#define FIRST_CHUNK 0
#define END_CHUNK CHUNKS
% endif
#define SUM_TAPS 3
#define BATCH ${9 if plans > 1 else 5} /* plans that a work-item makes at a time, so that their loads overlap */
#define RAWS (2 * ${corners})
#define ROWS_AHEAD ${rows_ahead} /* of a lane's two rows (or pairs of them), how many have their corners fetched a step ahead */
<%include file="matrix_samples.cl"/>
% if unit == "mma":
<%include file="matrix_step.cl"/>
% endif
% if splits == 1:
<%include file="again.cl" args="item='item_anew()'"/>
% endif
<%def name="fetch_weights()">\
{
% for i in range(-(-stage_vecs // items)):
            ${"" if (i + 1) * items <= stage_vecs else "if (t + %d < STAGE_VECS) " % (i * items)}copy_ahead(weights + ahead % STAGES * STAGE_VECS + t + ${i * items}, stages + t + ${i * items});
% endfor
            stages += STAGE_VECS;
            ++ahead;
        }\
</%def>\
<%def name="begin_plans()">\
{
                team_barrier();
                plans = plans + 1 < 3 ? plans + 1 : 0;
                make_plans(plan, scales + plans * TEAM_PIXELS, largest_in, largest, ${plan.given(forward=True)}
                           places, first_channel, chunk, height, width, out_height, out_width);
            }\
</%def>\
<%def name="fetch_corners()">\
{
% if not steady:
            if (tap == 0 && chunk > FIRST_CHUNK && chunk < END_CHUNK && new_plans(first_channel, chunk)) ${begin_plans()}
% endif
% if sampled:
            if (tap == 0 && chunk < END_CHUNK && t % TEAM < real_pixels && (int)get_group_id(1) % TILES == 0)
                kept_scales[(group * CHUNKS + chunk) * end + first + t % TEAM] = scales[plans * TEAM_PIXELS + t % TEAM];
% endif
            fetch(ring, plan + tap * TEAM_PIXELS + pair_row, first_channel, min(chunk, END_CHUNK - 1), below, raw);
% if not later:
            ${fetch_more_corners()}
% endif
        }\
</%def>\
<%def name="fetch_more_corners()">\
% if rows_ahead == 2:
fetch(ring, plan + tap * TEAM_PIXELS + pair_row + 8, first_channel, min(chunk, END_CHUNK - 1), below, raw + RAWS);\
% endif
</%def>\
## The samples of the step whose corners were fetched; where nothing is being fetched, copies are published, which waits for all.
<%def name="sample(into)">\
<% left = "leaves, kept, " if sampled else "" %>\
{
% if sampled:
            const int leaves = leaving && chunk < END_CHUNK;
% endif
            sample_rows(raw, plan + tap * TEAM_PIXELS + pair_row, first_channel, chunk, 0, ${left}${into});
% if rows_ahead == 2:
            sample_rows(raw + RAWS, plan + tap * TEAM_PIXELS + pair_row + 8, first_channel, chunk, 1, ${left}${into});
            publish_copies();
            if (ahead < steps) ${fetch_weights()}
% else:
            publish_copies();
            if (ahead < steps) ${fetch_weights()}
            fetch(ring, plan + tap * TEAM_PIXELS + pair_row + 8, first_channel, min(chunk, END_CHUNK - 1), below, raw);
            sample_rows(raw, plan + tap * TEAM_PIXELS + pair_row + 8, first_channel, chunk, 1, ${left}${into});
% endif
% if sampled:
            kept += KEPT_UNIT(1, end);
% endif
            chunk += tap + 1 == TAPS;
            tap = tap + 1 == TAPS ? 0 : tap + 1;
        }\
</%def>\
<%def name="sum_up()">\
% if unit == "mma":
add_products(total, a, stage, ${unscaled(0)}, ${unscaled(1)});
% else:
${"products_done" if at_once else "products_done_take"}(${"sum" if exact else "total"}, a${"" if at_once else ", next"});
% if exact:
        keep = !(summed_tap + 1 == TAPS || summed_tap % SUM_TAPS == SUM_TAPS - 1);
        if (!keep) {
            const float unscaled[2] = {${unscaled(0)}, ${unscaled(1)}};
            #pragma unroll
            for (int i = 0; i < TOTALS; ++i) total[i] = fma(sum[i], unscaled[i % 4 / 2], total[i]);
        }
% endif
% endif
</%def>\
<%def name="unscaled(i)">\
inverse(scales[summed_plans * TEAM_PIXELS + row + ${8 * i}])\
</%def>\
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void forward_matrix(
    __global const data_t *restrict ring,
    __global const uint *restrict largest,
${plan.operands(forward=True)}\
${kept.operands()}\
    __global const uint4 *restrict packed,
    __global const float *restrict unscale,
% if splits > 1:
    __global float *restrict partial,
% else:
% if has_bias:
    __global const data_t *restrict bias,
% endif
    __global const data_t *restrict input,
    __global const data_t *restrict weight,
    __global data_t *restrict output,
% endif
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plans_of_teams[TEAMS * PLANS * TAPS * TEAM_PIXELS];
    __local uint4 weights[STAGES * STAGE_VECS];
    __local float scales_of_teams[TEAMS * 3 * TEAM_PIXELS];
    __local float largest_of_teams[ITEMS];
    __local int4 places_of_teams[TEAMS * TEAM_PIXELS];
% if splits == 1:
    __local int doubted[1];
% endif
    const int t = (int)get_local_id(0);
    const int team = t / TEAM, late = team % 2;
    const int lane = t % 32;
    const int row = t % TEAM / 32 * 16 + lane / LANES;
    const int pair_row = row / 2 * 2;
    __local plan_t *plan = plans_of_teams + team * PLANS * TAPS * TEAM_PIXELS;
    __local float *scales = scales_of_teams + team * 3 * TEAM_PIXELS;
    __local float *largest_in = largest_of_teams + team * TEAM;
    __local int4 *places = places_of_teams + team * TEAM_PIXELS;
    const int group = (int)get_group_id(1) / TILES;
    const int first_channel = group * GROUP_IN;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const index_t end = (index_t)batch * pixels;
    const index_t first = (index_t)get_group_id(0) * TILE_PIXELS + team * TEAM_PIXELS;
    const int real_pixels = (int)min(end - first, (index_t)TEAM_PIXELS); /* of the team's */
    const int steps = (END_CHUNK - FIRST_CHUNK) * TAPS;
% if sampled:
    const index_t its_16 = first / 16 + t % TEAM / 32; /* of the batch's pixels, those of this warp */
    __global kept_t *kept = kept_samples + KEPT_UNIT((group * CHUNKS + FIRST_CHUNK) * TAPS, end) + its_16 * KEPT_SIXTEEN + KEPT_LANE(lane % 8, lane / 8);
    const int leaving = (int)get_group_id(1) % TILES == 0 && its_16 < SIXTEENS(end);
% endif
    __global const uint4 *stages = packed + ((index_t)get_group_id(1) * CHUNKS + FIRST_CHUNK) * TAPS * STAGE_VECS;

% if splits == 1:
    if (t == 0) doubted[0] = 0;
% endif
    float total[TOTALS];
    #pragma unroll
    for (int i = 0; i < TOTALS; ++i) total[i] = 0.0f;
% if unit == "wgmma" and exact:
    float sum[TOTALS];
    #pragma unroll
    for (int i = 0; i < TOTALS; ++i) sum[i] = 0.0f;
    int keep = 0;
% endif
    uint a[PARTS * STEPS * 4]${"" if at_once else ", next[PARTS * STEPS * 4]"};
    uint4 raw[ROWS_AHEAD * RAWS];
    int ahead = 0; /* the step whose weights are fetched next */
    int chunk = FIRST_CHUNK, tap = 0, plans = 0; /* of the corners that are fetched, or sampled, next; the plan that was made last */
    int summed_tap = 0, ${"" if steady else "summed_chunk = FIRST_CHUNK, "}summed_plans = 1; /* of the step that is multiplied */

    ${fetch_weights()}
    if (late && ahead < steps) ${fetch_weights()}
    if (t % TEAM < TEAM_PIXELS) places[t % TEAM] = place_of(first + min(t % TEAM, real_pixels - 1), out_height, out_width);
    ${begin_plans()}
    ${fetch_corners()}
% if later:
    ${fetch_more_corners()}
% endif
    ${sample("a")}
    ${fetch_corners()}
% if later:
    ${fetch_more_corners()}
% endif
    if (late) barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < steps; ++s) {
        if (!late) barrier(CLK_LOCAL_MEM_FENCE);
        __local const uint4 *stage = weights + s % STAGES * STAGE_VECS;
% if unit == "wgmma":
        const ulong described_stage = described(stage);
        begin_products();
        #pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            const ulong high = described_stage + step * TILE_OUT * 2;
            multiply(${"sum" if exact else "total"}, a + step * 4, high, ${"step > 0 ? 1 : keep" if exact else "1"});
% if parts == 2:
            multiply(sum, a + (STEPS + step) * 4, high, 1);
            multiply(sum, a + step * 4, high + STEPS * TILE_OUT * 2, 1);
% endif
        }
        close_products();
% endif
% if at_once:
        ${sum_up()}
% endif
        if (late) barrier(CLK_LOCAL_MEM_FENCE);
        /* After the last step, too, on what is there: a branch around this, between a product's beginning and its end, made NVIDIA's
         * assembler move sums that were under way. */
        ${sample("a" if at_once else "next")}
        ${fetch_corners()}
% if not at_once:
        ${sum_up()}
% endif
        const int last_tap = summed_tap + 1 == TAPS;
% if later:
        ${fetch_more_corners()}
% endif
        summed_tap = last_tap ? 0 : summed_tap + 1;
% if not steady:
        if (last_tap) {
            ++summed_chunk;
            if (s + 1 < steps && new_plans(first_channel, summed_chunk)) {
% if unit == "wgmma" and not exact:
                const float before[2] = {${unscaled(0)}, ${unscaled(1)}};
% endif
                summed_plans = summed_plans + 1 < 3 ? summed_plans + 1 : 0;
% if unit == "wgmma" and not exact:
                const float rescale[2] = {before[0] * scales[summed_plans * TEAM_PIXELS + row], before[1] * scales[summed_plans * TEAM_PIXELS + row + 8]};
                #pragma unroll
                for (int i = 0; i < TOTALS; ++i) total[i] *= rescale[i % 4 / 2];
% endif
            }
        }
% endif
    }
    if (!late) barrier(CLK_LOCAL_MEM_FENCE);
% if unit == "wgmma" and not exact:
    const float last_unscaled[2] = {${unscaled(0)}, ${unscaled(1)}};
% endif
${outputs.store("last_unscaled" if unit == "wgmma" and not exact else "")}\
% if splits == 1:
${outputs.look_again()}\
% endif
}
