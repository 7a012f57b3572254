/* Sums of the input's gradient in local memory, for backward_data_matrix. What a tile's pixels add near each other meets in a window of the
 * ring, and each sum goes to global memory once. Needs back_plans, planned_sample, atomic, scale.
 *
 *     window[cell][c] = sum of column[c] * mask * (weight of corner), as an integer, in quanta of 1 / (factor[c] * quanta)
 *     factor[c] = 1 / (2**COLUMN_BITS * largest unscaled[p] * unscale[c]),   quanta = 2**(31 - bits) / M
 *
 * M: the power of two not below any |mask| of the tile. A pixel has room for 2**bits of |mask| / M * weight. So if no |column * factor| is above
 * 1, no sum is above 2**31. Columns seldom are: they are sums over GROUP_OUT outputs of products of factors whose largest lie in
 * [2**14, 2**15) and [2**13, 2**14), and 2**COLUMN_BITS is what random ones come to, sixteenfold. Whoever is above, or finds no room, or whose
 * sample lies outside the window, or is that of a pixel and a mask much smaller than the tile's largest, adds to global memory, as float.
 *
 * Where factors are cut in two, there is room for somewhat more than what pixels get in the mean, so that a term is rounded by at most half of
 * a quantum, some 2**-24 of the tile's usual columns: what no pixel that gets many terms notices. Where they have 11 bits, terms have 22, which
 * an addition makes integers of in place of a conversion; bits are 9, for 127 samples in each of four cells.
 *
 * Cell (i, j) is pixel origin + i rows + j of the ring. The window lies where it would without offsets, moved by what samples lie beside it
 * in the mean. */
<% taps = kernel_y * kernel_x %>\
#define WINDOW_ROWS ${window_rows}
#define WINDOW_COLUMNS ${window_columns}
#define WINDOW_CELLS (WINDOW_ROWS * WINDOW_COLUMNS)
#define CELL (TILE_OUT + 1) /* integers: neighbouring cells begin in different banks */
#define NO_CELL (-1)
#define CORNER_CELL(cell, corner) ((cell) + (corner) / 2 * WINDOW_COLUMNS + (corner) % 2)
#define COLUMN_BITS ${max(29, 28 + ((out_channels // groups - 1).bit_length() + 1) // 2)}
#define ROOM ${1.75 * taps / (stride_y * stride_x)}f /* terms of the mean mask */
#define SAMPLES 127 /* of a cell, where they are counted */
#define SHARES 65536 /* units of what a pixel gets: of each share one more for what is cut off, and one for its roundings to quanta */
#define PLANNED_TAPS ((PAST_TAP - FIRST_TAP) * PLANNED)
#define LEAST 0.0625f /* of a mask times unscaled: what is smaller would be rounded too coarsely */
#define REACH 64 /* pixels: samples that lie further than this beside where they would aren't asked where the window lies */

/* Of a tile's samples, in local memory: M and the largest unscaled, as bits; how far in all those lie from the first cell that lie near it, how
 * many these are, and the sum of all |mask| / M, in 4096ths. */
enum { MOST_MASK, MOST_SIZE };
enum { MEAN_DOWN, MEAN_RIGHT, MEAN_OF, MEAN_SHARE };

/* Exponents within these bounds make usual numbers in all that follows. */
static inline int usual_mask(int exponent) { return exponent >= -30 && exponent <= 30; }
static inline int usual_factor(int exponent) { return exponent >= -60 && exponent <= 60; }
static inline float power_of_two(int exponent) { return as_float((uint)(exponent + 127) << 23); }
static inline int exponent_of(float power) { return (int)(as_uint(power) >> 23) - 127; }

/* Below 1 where masks are mostly much smaller than the largest, or samples mostly far: then few terms make a sum, and quanta are too coarse
 * for it. */
static inline int room_bits(volatile __local const int *mean)
{
    const int bits = exponent_of(ROOM / 4096 / PLANNED_TAPS * (float)mean[MEAN_SHARE]) + 1;
    return 2 * mean[MEAN_OF] < PLANNED_TAPS ? 0 : ${"bits > 0 ? 9 : 0" if parts == 1 else "bits"};
}

static inline float window_quanta(volatile __local const uint *most, volatile __local const int *mean)
{
    return power_of_two(31 - room_bits(mean) - exponent_of(as_float(most[MOST_MASK])));
}

/* The factor of a channel, NaN where it wouldn't be a usual number: then no column is below 1. */
static inline float window_factor(float unscale, uint size)
{
    const int exponent = -COLUMN_BITS - exponent_of(as_float(size)) - exponent_of(unscale);
    return unscale <= FLT_MAX && usual_factor(exponent) ? power_of_two(exponent) : NAN;
}

/* |mask| / M; 0 where it is no usual number, or more than 1. */
static inline float share_of(plan_t its, volatile __local const uint *most)
{
    const float largest = as_float(most[MOST_MASK]), share = fabs(its.y) * inverse(largest);
    return usual_mask(exponent_of(largest)) && share <= 1.0f ? share : 0.0f;
}

% if parts == 2:
/* What a corner gets, rounded up. */
static inline int share_at(float share, sample_t s, int corner) { return (int)(share * corner_weight(s, corner) * SHARES) + 2; }

% endif
/* The cell of a pixel's sample, if it lies in the window and its corners have room for it. */
static inline int admitted(
    plan_t its, float unscaled, int origin, int width, volatile __local int *room, volatile __local const uint *most, volatile __local const int *mean)
{
    const int row = width + 1, from = PLAN_PIXEL(its) - origin, bits = room_bits(mean);
    const float share = share_of(its, most);
    const int adds = PLAN_PIXEL(its) != RING_OUTSIDE && bits > 0 && share > 0.0f && share * unscaled >= as_float(most[MOST_SIZE]) * LEAST;
    if (!adds || from < 0 || from / row >= WINDOW_ROWS - 1 || from % row >= WINDOW_COLUMNS - 1) return NO_CELL;
    const int cell = from / row * WINDOW_COLUMNS + from % row;
% if parts == 1:
    return atomic_inc(room + cell) < SAMPLES ? cell : NO_CELL;
% else:
    const sample_t s = planned_sample(its, 0);
    int full = 0;
    #pragma unroll
    for (int corner = 0; corner < CORNERS; ++corner) {
        const int more = share_at(share, s, corner);
        full |= atomic_add(room + CORNER_CELL(cell, corner), more) > (SHARES << bits) - more;
    }
    #pragma unroll
    for (int corner = 0; corner < CORNERS; ++corner)
        if (full) atomic_sub(room + CORNER_CELL(cell, corner), share_at(share, s, corner));
    return full ? NO_CELL : cell;
% endif
}

/* The cells of the samples that are planned, NO_CELL for those that add elsewhere, and `most` and `mean`; returns the origin. All work-items,
 * behind a barrier; `origin` is where the window would lie without offsets. */
static inline int plan_window(
    __local const plan_t *plan, __local const float *unscaled, int real_pixels, int origin, int width, __local short *cells,
    volatile __local int *room, volatile __local uint *most, volatile __local int *mean)
{
    const int t = (int)get_local_id(0);
    const int row = width + 1, reach = min(REACH, width / 2);
    if (t < 4) mean[t] = 0;
    if (t < 2) most[t] = 0;
    for (int i = t; i < WINDOW_CELLS; i += ITEMS) room[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint mask = 0;
    int down = 0, right = 0, counted = 0;
    for (int i = t; i < PLANNED_TAPS; i += ITEMS) {
        const int from = PLAN_PIXEL(plan[i]) - origin + reach * row + reach;
        const int near = PLAN_PIXEL(plan[i]) != RING_OUTSIDE && from >= 0 && from / row < 2 * reach && from % row < 2 * reach;
        mask = max(mask, fabs(plan[i].y) <= FLT_MAX ? as_uint(fabs(plan[i].y)) : 0u);
        down += near ? from / row - reach : 0;
        right += near ? from % row - reach : 0;
        counted += near;
    }
    atomic_max(most + MOST_MASK, (mask + 0x7fffffu) & 0x7f800000u);
    atomic_max(most + MOST_SIZE, t < TILE_PIXELS && unscaled[t] <= FLT_MAX ? as_uint(unscaled[t]) : 0u);
    atomic_add(mean + MEAN_DOWN, down);
    atomic_add(mean + MEAN_RIGHT, right);
    atomic_add(mean + MEAN_OF, counted);
    barrier(CLK_LOCAL_MEM_FENCE);
    int shares = 0;
    for (int i = t; i < PLANNED_TAPS; i += ITEMS) shares += (int)(4096 * share_of(plan[i], most));
    atomic_add(mean + MEAN_SHARE, shares);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (mean[MEAN_OF] > 0) {
        const float one = 1.0f / (float)mean[MEAN_OF];
        origin += convert_int_rte(one * (float)mean[MEAN_DOWN] - 0.5f * (WINDOW_ROWS - 2)) * row
                + convert_int_rte(one * (float)mean[MEAN_RIGHT] - 0.5f * (WINDOW_COLUMNS - 2));
    }
    for (int i = t; i < PLANNED_TAPS; i += ITEMS)
        cells[i] = (short)(i % TILE_PIXELS < real_pixels ? admitted(plan[i], unscaled[i % TILE_PIXELS], origin, width, room, most, mean) : NO_CELL);
    return origin;
}

/* A quad of channels of one pixel to the corners of its sample's cell, the first of them at `to`, if it may; whether it does. */
static inline int add_to_window(__local int *to, plan_t its, float quanta, float4 column, float4 factor)
{
    const sample_t s = planned_sample(its, 0);
    const float4 terms = column * factor;
    const float scale = its.y * quanta;
    if (!(fabs(terms.s0) <= 1.0f && fabs(terms.s1) <= 1.0f && fabs(terms.s2) <= 1.0f && fabs(terms.s3) <= 1.0f)) return 0;
    #pragma unroll
    for (int corner = 0; corner < CORNERS; ++corner) {
        const int4 whole = ${"as_int4(scale * corner_weight(s, corner) * terms + 0x1.8p23f) - 0x4b400000" if parts == 1 else "convert_int4_rte(scale * corner_weight(s, corner) * terms)"};
        volatile __local int *sums = to + CORNER_CELL(0, corner) * CELL;
        atomic_add(sums, whole.s0);
        atomic_add(sums + 1, whole.s1);
        atomic_add(sums + 2, whole.s2);
        atomic_add(sums + 3, whole.s3);
    }
    return 1;
}

/* All sums to global memory, zeros in their place; `ring` is at the tile's first channel. */
static inline void empty_window(__local int *window, __local const float4 *factor, float quanta, __global float *ring, int origin, int width)
{
    for (int i = (int)get_local_id(0); i < WINDOW_CELLS * (TILE_OUT / 4); i += ITEMS) {
        const int cell = i / (TILE_OUT / 4), quad = i % (TILE_OUT / 4);
        __local int *from = window + cell * CELL + 4 * quad;
        const int4 sum = (int4)(from[0], from[1], from[2], from[3]);
        if ((sum.s0 | sum.s1 | sum.s2 | sum.s3) == 0) continue;
        const index_t pixel = origin + cell / WINDOW_COLUMNS * (width + 1) + cell % WINDOW_COLUMNS;
        const float4 scale = factor[quad] * quanta;
        const float4 quantum = (float4)(inverse(scale.s0), inverse(scale.s1), inverse(scale.s2), inverse(scale.s3));
        atomic_add_quad(ring + pixel * IN_CHANNELS + 4 * quad, convert_float4(sum) * quantum);
        from[0] = from[1] = from[2] = from[3] = 0;
    }
}
