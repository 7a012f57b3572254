## Samples of backward_weight_wgmma: the corners that are fetched, and halves in local memory as wgmma reads them, pixels innermost.
## Needs plan, matrix_nvidia, weight_tile and the names of backward_weight_wgmma.
<% corners = 4 if offset_groups else 1 %>\
<%include file="sample_halves.cl"/>
/* Of 4 neighbouring pixels a work-item samples VEC channels; 32 of them 16 pixels' unit of channels. A warp's place in set `set` of these:
 * its unit in the tile, and its lane's first pixel of the block. */
static inline int set_unit(int set) { return (set * SAMPLE_WARPS + MY_ITEM / 32) / (BLOCK / 16); }
static inline int set_pixel(int set) { return (set * SAMPLE_WARPS + MY_ITEM / 32) % (BLOCK / 16) * 16 + MY_ITEM % 32 / 8 * 4; }

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

/* What was fetched of a pair of pixels as halves: halves[part][channel][pair]. */
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
    #pragma unroll
    for (int c = 0; c < VEC; ++c) two_in_halves(v[0][c], v[1][c], halves + 2 * c + pair, halves + 2 * ${"(VEC + c)" if parts == 2 else "c"} + pair);
}

/* A set's halves to local memory. */
static inline void store_samples(const uint *halves, int set, __local uint4 *samples)
{
    const int pixel = set_pixel(set);
    __local uint2 *to = (__local uint2 *)(samples + set_unit(set) * (VEC * BLOCK) + pixel / 8 * 8 + MY_ITEM % 8) + pixel % 8 / 4;
    #pragma unroll
    for (int part = 0; part < PARTS; ++part)
        #pragma unroll
        for (int c = 0; c < VEC; ++c)
            to[(part * (COLUMNS * BLOCK / 8) + c * BLOCK) * 2] = (uint2)(halves[2 * (part * VEC + c)], halves[2 * (part * VEC + c) + 1]);
}
