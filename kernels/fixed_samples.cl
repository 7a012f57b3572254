/* The way back of columns to sums in fixed point, for backward_data_matrix; see float_samples for its sibling. Needs back_samples, atomic. */
<%include file="fixed.cl"/>
<%include file="fixed_add.cl"/>
<%include file="fixed_corners.cl"/>
typedef struct {
    __global ulong *sums;
    __global uint *marks;
    __local const uchar4 *ways; /* of the corners of the warp's pixels */
    float4 scales;              /* of the lane's channels, from `channel` on */
    int channel;
} target_t;

% if integers == "nvidia" and fixed_lanes < 4 and fixed_block == 32 and in_channels // groups % 32 == 0:
/* A quad of the warp's pixel `in_warp`, to the corners of its sample, if it is `there`. All of a warp call it. Few lanes have a sample's
 * channels here: they exchange half with those beside them, so that twice as many add to what lies together, sample after sample. */
static inline void add_to_corners(target_t at, plan_t its, int in_warp, float4 column, int width, int there)
{
    const uchar4 ways = at.ways[in_warp];
    const float4 scaled = column * at.scales;
    const int brings = there && !fixed_is_nothing(its.y, column);
    if (!all_lanes(!brings || fixed_is_simple(its.y, ways, scaled))) {
        if (brings) fixed_add_each(at.sums, at.marks, at.channel, its, ways, column, at.scales, width);
        return;
    }
    const sample_t s = planned_sample(its, 0);
    const int upper = at.channel / (4 * FIXED_LANES) % 2;
    const int beside = upper ? at.channel - 4 * FIXED_LANES : at.channel + 4 * FIXED_LANES;
    const int own = brings ? PLAN_PIXEL(its) : -1;
    const int other = as_int(of_lane(as_float(own), FIXED_LANES));
    const int in_sample = at.channel / 4 % FIXED_LANES + (upper ? FIXED_LANES : 0);
    __global ulong *to_own = at.sums + (index_t)own * IN_CHANNELS + FIXED_SAMPLE(at.channel) + in_sample;
    __global ulong *to_other = at.sums + (index_t)other * IN_CHANNELS + FIXED_SAMPLE(beside) + in_sample;
% for corner in range(corners):
    {
        const int4 whole = convert_int4_rte(scaled * (its.y * corner_weight(s, ${corner}) * fixed_few_scale(ways.s${corner})));
        const int2 first = (int2)(whole.s0, whole.s1 + (whole.s0 >> 31)), second = (int2)(whole.s2, whole.s3 + (whole.s2 >> 31));
        const int2 given = upper ? first : second, kept = upper ? second : first;
        const int2 got = (int2)(as_int(of_lane(as_float(given.s0), FIXED_LANES)), as_int(of_lane(as_float(given.s1), FIXED_LANES)));
        const index_t step = (index_t)(${("0", "1", "width + 1", "width + 2")[corner]}) * IN_CHANNELS;
        const ulong own_pair = as_ulong(kept), other_pair = as_ulong(got);
        if ((upper ? other : own) >= 0) fixed_add_bits((upper ? to_other : to_own) + step, upper ? other_pair : own_pair);
        if ((upper ? own : other) >= 0) fixed_add_bits((upper ? to_own : to_other) + step, upper ? own_pair : other_pair);
    }
% endfor
}
% else:
/* A quad of the warp's pixel `in_warp`, to the corners of its sample, if it is `there`. */
static inline void add_to_corners(target_t at, plan_t its, int in_warp, float4 column, int width, int there)
{
    if (there) fixed_add_corners(at.sums, at.marks, at.channel, its, at.ways[in_warp], column, at.scales, width);
}
% endif

/* The columns of a heap, summed in a fixed order before they are added: few or many, the sum of all that reach a pixel has its bound. */
static inline void add_heap(target_t at, const float4 column[4][2], __local const plan_t *its, int adds, int width)
{
    const int lane = (int)get_local_id(0) % 32;
    const int pixel = PLAN_PIXEL(its[0]);
    #pragma unroll 1
    for (int corner = 0; corner < CORNERS; ++corner) {
        float4 given = (float4)(0.0f);
        #pragma unroll
        for (int i = 0; i < 8; ++i) {
            const plan_t p = its[PAIR(i / 2) + i % 2];
            if (PAIR(i / 2) + i % 2 < adds) given += p.y * corner_weight(planned_sample(p, 0), corner) * column[i / 2][i % 2];
        }
        given = over_pixels(given);
        const index_t to = pixel + corner % 2 + corner / 2 * (width + 1);
        if (lane < 8 && adds > 0 && pixel != RING_OUTSIDE)
            fixed_add_quad(at.sums + to * IN_CHANNELS, at.marks + to * FIXED_MARKS, at.channel, given, as_uint(at.ways[0]) >> 8 * corner & 255u, at.scales);
    }
}
