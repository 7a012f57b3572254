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
