## Samples of backward_weight_wgmma from their corners. Needs weight_samples, plan.
<% corners = 4 if offset_groups else 1 %>\
/* Begin to fetch the corners of pixels 2 * pair and the next of a set. */
static inline void fetch(
    __global const data_t *restrict ring, __local const plan_t *plan, int set, int pair, int first_unit, int first_channel, long below,
    uint4 *raw)
{
    const int c = min(first_unit + set_unit(set), CHUNKS * TAPS - 1) / TAPS * UNIT + MY_ITEM % 8 * VEC;
    __global const data_t *first = ring + first_channel + min(c, GROUP_IN - VEC);
    (void)below; /* an ordinary convolution has one corner */
% for p in range(2):
    {
        __global const data_t *from = first + (ulong)(uint)PLAN_PIXEL(plan[set_unit(set) * BLOCK + set_pixel(set) + 2 * pair + ${p}]) * IN_CHANNELS;
% for corner in range(corners):
        raw[(2 * pair + ${p}) * ${corners} + ${corner}] = load_now(from + ${("0", "IN_CHANNELS", "below", "below + IN_CHANNELS")[corner]});
% endfor
    }
% endfor
}

/* What was fetched of a pair of pixels as halves. */
static inline void sample(
    const uint4 *raw, __local const plan_t *plan, __local const int4 *places, float scale, int set, int pair, uint *halves)
{
    const int pixel = set_pixel(set) + 2 * pair;
    float v[2][VEC];
    #pragma unroll
    for (int i = 0; i < 2; ++i) {
        plan_t p = plan[set_unit(set) * BLOCK + pixel + i];
        p.y = p.y * as_float(places[pixel + i].w) * scale;
        blend_corners(raw + (2 * pair + i) * ${corners}, p, v[i]);
    }
    pair_in_halves(v, pair, halves);
}
