## Plans of a tile's sample groups for backward_data_matrix, from the names that are in scope there: of all taps that a work-group has, where
## they fit, or of the next tap while products of this one are under way. Needs what backward_data_matrix includes before it.
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="way_back" file="planned_sample.cl"/>\
#define SPLITS ${splits}
#define TAPS_AT_MOST ((TAPS + SPLITS - 1) / SPLITS) /* of a work-group: [FIRST_TAP, PAST_TAP) */
#define FIRST_TAP ${"((int)get_group_id(1) * TAPS / SPLITS)" if splits > 1 else "0"}
#define PAST_TAP ${"(((int)get_group_id(1) + 1) * TAPS / SPLITS)" if splits > 1 else "TAPS"}
#define PLAN_SETS ${"TAPS_AT_MOST" if keeps_plans else 2}
#define PLAN_SET(tap) (((tap) - FIRST_TAP) % PLAN_SETS)
% if not keeps_plans and not planned:
#define PLANS_AT_ONCE (PLANS / STRIPES)
<%include file="begin.cl"/>
typedef struct {
    uint y, x, scale;
} begun_t;
% endif
## Plans of the next tap, where those of all don't fit: what they are made of is fetched before products, whose time hides it.
<%def name="begin_plans(of_tap)">\
{
            const int of_tap = ${of_tap}, n = places[t % TILE_PIXELS].x;
            const index_t pixel = places[t % TILE_PIXELS].y;
            #pragma unroll
            for (int i = 0; i < PLANS_AT_ONCE; ++i) {
                const int tap = of_tap, g = first_group + i * STRIPES + across;
                const index_t entry = ENTRY(g) * pixels;
% if offset_groups:
                begun[i].y = begin_offset(offset + 2 * entry + pixel);
                begun[i].x = begin_offset(offset + 2 * entry + pixels + pixel);
% endif
% if has_mask:
                begun[i].scale = begin_mask(mask + entry + pixel);
% endif
            }
        }\
</%def>\
<%def name="finish_plans(of_tap)">\
{
            const int of_tap = ${of_tap};
            #pragma unroll
            for (int i = 0; i < PLANS_AT_ONCE; ++i) {
                const int tap = of_tap, in_tile = i * STRIPES + across;
                const int here = (PLAN_SET(tap) * PLANS + in_tile) * TILE_PIXELS + t % TILE_PIXELS;
                ${way_back.make("here", "begun_offset(begun[i].y)", "begun_offset(begun[i].x)", "begun_mask(begun[i].scale)")}
% if needs_input and fixed_bits > 0:
                ways[here] = fixed_corner_ways(pixel_ways + (index_t)(first_group + in_tile) * ring_pixels + PLAN_PIXEL(plan[here]), width);
% endif
            }
        }\
</%def>\
## The plans of the tile's sample groups, of taps [begin, end). A pixel's place comes from local memory: in registers it would be spilled.
<%def name="make_plans(begin, end)">\
{
            const int past = ${end}, n = places[t % TILE_PIXELS].x;
            const index_t pixel = places[t % TILE_PIXELS].y;
% if not planned:
            const int oy = (int)pixel / out_width, ox = (int)pixel % out_width;
% endif
            for (int i = (${begin}) * PLANS + t / TILE_PIXELS; i < past * PLANS; i += STRIPES) {
                const int tap = i / PLANS, g = min(first_group + i % PLANS, SAMPLE_GROUPS - 1);
                const int here = (PLAN_SET(tap) * PLANS + i % PLANS) * TILE_PIXELS + t % TILE_PIXELS;
                ${way_back.take("here") if planned else way_back.make("here")}
% if needs_input and fixed_bits > 0:
                ways[here] = fixed_corner_ways(pixel_ways + (index_t)g * ring_pixels + PLAN_PIXEL(${plan.kept("g") if planned else "plan[here]"}), width);
% endif
            }
        }\
</%def>\
## The gradients that all dots of the tile's sample groups make.
<%def name="store_dots()">\
{
            for (int i = t / TILE_PIXELS; i < (PAST_TAP - FIRST_TAP) * PLANS && t % TILE_PIXELS < real_pixels; i += STRIPES) {
                const int tap = FIRST_TAP + i / PLANS, g = first_group + i % PLANS;
                const int n = places[t % TILE_PIXELS].x;
                const index_t pixel = places[t % TILE_PIXELS].y;
                const plan_t its = plan[i * TILE_PIXELS + t % TILE_PIXELS];
                const sample_t s = planned_sample(its, ${way_back.gates("i * TILE_PIXELS + t % TILE_PIXELS")});
                float dot[4] = {0.0f, 0.0f, 0.0f, 0.0f};
                for (int w = 0; w < WARPS_ACROSS / PLANS; ++w)
                    for (int q = 0; q < 4; ++q)
                        dot[q] += dots[(((i % PLANS * (WARPS_ACROSS / PLANS) + w) * TAPS_AT_MOST + i / PLANS) * TILE_PIXELS + t % TILE_PIXELS) * 4 + q];
                ${way_back.store_gradients("its.y", "dot")}
            }
        }\
</%def>\
## Where the window of sums lies without offsets: at the first tap of the strip's columns beside the tile's first pixel.
<%def name="window_origin()">\
ring_pixel(places[0].x, tap_row(places[0].y / out_width, 0), tap_column(places[0].y % out_width / STRIP * STRIP, 0), height, width)\
</%def>\
## The gradients that the dots of row `row` of a warp's pixels make, where a warp has all channels of its sample groups.
<%def name="store_row()">\
#pragma unroll
                for (int turn = 0; turn < PIXELS_A_LANE; ++turn) {
                    const int in_warp = PAIR(row) + ${"(PIXELS_A_LANE == 1 ? lane % 2 : turn)"};
                    float sum_of[4];
                    sum_dots(dot, turn, sum_of);
                    if (warp_pixel + in_warp < real_pixels && REAL(0) && lane % GROUP_LANES < 2) {
                        const sample_t s = planned_sample(its[in_warp], ${way_back.gates("own_plans + warp_pixel + in_warp")});
                        const int n = places[warp_pixel + in_warp].x, g = first_group + own_channel / SAMPLE_CHANNELS;
                        const index_t pixel = places[warp_pixel + in_warp].y;
                        ${way_back.store_gradients("its[in_warp].y", "sum_of")}
                    }
                }\
</%def>\
