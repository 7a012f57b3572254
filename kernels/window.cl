/* Sums of the input's gradient in local memory, for backward_data_matrix. What a tile's pixels add near each other meets in a window of the
 * ring, and each sum goes to global memory once. Needs back_plans, planned_sample, atomic, scale.
 *
 *     window[cell][c] = sum of column[c] * mask * (weight of corner), as an integer, in quanta of 1 / (factor[c] * quanta)
 *     factor[c] = 1 / (2**COLUMN_BITS * largest unscaled[p] * unscale[c]),   quanta = 2**(31 - bits) / M
 *
 * M: the power of two not below any |mask| of the tile; 2**bits: above the sum of |mask| / M * weight that comes to any cell. So if no
 * |column * factor| is above 1, no sum is above 2**31. Columns seldom are: they are sums over GROUP_OUT outputs of products of factors whose
 * largest lie in [2**14, 2**15), and 2**COLUMN_BITS is what random ones come to, eightfold. Whoever is above, or whose sample lies outside
 * the window, or is that of a pixel and a mask much smaller than the tile's largest, or lies in a heap, adds to global memory, as float. A
 * term is rounded by at most half of a quantum, some 2**-24 of the tile's usual columns: what no pixel that gets many terms notices.
 *
 * Cell (i, j) is pixel origin + i rows + j of the ring. The window lies where it would without offsets, moved by what samples lie beside it
 * in the mean. */
#define WINDOW_ROWS ${window_rows}
#define WINDOW_COLUMNS ${window_columns}
#define WINDOW_CELLS (WINDOW_ROWS * WINDOW_COLUMNS)
#define CELL (TILE_OUT + 1) /* integers: neighbouring cells begin in different banks */
#define NO_CELL (-1)
#define COLUMN_BITS ${max(30, 29 + ((out_channels // groups - 1).bit_length() + 1) // 2)}
#define SHARES 65536 /* units of what a cell gets: of each share one more for what is cut off, and one for its roundings to quanta */
#define HEAP ((4 * ((TAPS + STRIDE_Y * STRIDE_X - 1) / (STRIDE_Y * STRIDE_X)) + 16) * SHARES)
#define LEAST 0.0625f /* of a mask times unscaled: what is smaller would be rounded too coarsely */
#define REACH 64 /* pixels: samples that lie further than this beside where they would aren't asked where the window lies */
#define PLANNED_TAPS ((PAST_TAP - FIRST_TAP) * PLANNED)

/* Of a tile's samples, in local memory: M and the largest unscaled, as bits, and the most shares of a cell; and how far in all they lie from the
 * first cell, and how many. */
enum { MOST_MASK, MOST_SIZE, MOST_SHARES };
enum { MEAN_DOWN, MEAN_RIGHT, MEAN_OF };

/* Exponents within these bounds make usual numbers in all that follows. */
static inline int usual_mask(int exponent) { return exponent >= -30 && exponent <= 30; }
static inline int usual_factor(int exponent) { return exponent >= -60 && exponent <= 60; }
static inline float power_of_two(int exponent) { return as_float((uint)(exponent + 127) << 23); }
static inline int exponent_of(float power) { return (int)(as_uint(power) >> 23) - 127; }
static inline float window_quanta(uint shares, uint mask) { return power_of_two((int)clz(shares / SHARES) - 1 - exponent_of(as_float(mask))); }

/* The factor of a channel, NaN where it wouldn't be a usual number: then no column is below 1. */
static inline float window_factor(float unscale, uint size)
{
    const int exponent = -COLUMN_BITS - exponent_of(as_float(size)) - exponent_of(unscale);
    return unscale <= FLT_MAX && usual_factor(exponent) ? power_of_two(exponent) : NAN;
}

/* The cells of the samples that are planned, NO_CELL for those that add elsewhere, and `most`; returns the origin. All work-items, behind a
 * barrier; `origin` is where the window would lie without offsets. */
static inline int plan_window(
    __local const plan_t *plan, __local const float *unscaled, int real_pixels, int origin, int width, __local int *window, __local short *cells,
    volatile __local uint *most, volatile __local int *mean)
{
    const int t = (int)get_local_id(0);
    const int row = width + 1, reach = min(REACH, width / 2);
    const int steps[4] = {0, CELL, WINDOW_COLUMNS * CELL, (WINDOW_COLUMNS + 1) * CELL};
    if (t < 3) most[t] = mean[t] = 0;
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
    if (mean[MEAN_OF] > 0) {
        const float one = 1.0f / (float)mean[MEAN_OF];
        origin += convert_int_rte(one * (float)mean[MEAN_DOWN] - 0.5f * (WINDOW_ROWS - 2)) * row
                + convert_int_rte(one * (float)mean[MEAN_RIGHT] - 0.5f * (WINDOW_COLUMNS - 2));
    }
    const float largest = as_float(most[MOST_MASK]), least = as_float(most[MOST_SIZE]) * LEAST;
    for (int i = t; i < PLANNED_TAPS; i += ITEMS) {
        const plan_t its = plan[i];
        const sample_t s = planned_sample(its, 0);
        const int from = PLAN_PIXEL(its) - origin;
        const float share = fabs(its.y) * inverse(largest);
        const int in_window = PLAN_PIXEL(its) != RING_OUTSIDE && from >= 0 && from / row < WINDOW_ROWS - 1 && from % row < WINDOW_COLUMNS - 1;
        const int adds = i % TILE_PIXELS < real_pixels && usual_mask(exponent_of(largest)) && share <= 1.0f
                      && share * unscaled[i % TILE_PIXELS] >= least;
        const int cell = in_window && adds ? from / row * WINDOW_COLUMNS + from % row : NO_CELL;
        cells[i] = (short)cell;
        for (int corner = 0; corner < (cell == NO_CELL ? 0 : CORNERS); ++corner)
            atomic_add(window + cell * CELL + steps[corner], (int)(share * corner_weight(s, corner) * SHARES) + 2);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    int shares = 0;
    for (int i = t; i < PLANNED_TAPS; i += ITEMS) {
        if (cells[i] == NO_CELL) continue;
        int here = 0;
        for (int corner = 0; corner < CORNERS; ++corner) here = max(here, window[cells[i] * CELL + steps[corner]]);
        if (here > HEAP) cells[i] = NO_CELL;
        else shares = max(shares, here);
    }
    atomic_max(most + MOST_SHARES, (uint)shares);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t; i < WINDOW_CELLS; i += ITEMS) window[i * CELL] = 0;
    return origin;
}

/* A quad of channels of one pixel to the corners of its sample's cell, the first of them at `to`, if it may; whether it does. */
static inline int add_to_window(__local int *to, plan_t its, float quanta, float4 column, float4 factor)
{
    const sample_t s = planned_sample(its, 0);
    const float4 parts = column * factor;
    const float scale = its.y * quanta;
    if (!(fabs(parts.s0) <= 1.0f && fabs(parts.s1) <= 1.0f && fabs(parts.s2) <= 1.0f && fabs(parts.s3) <= 1.0f)) return 0;
    #pragma unroll
    for (int corner = 0; corner < CORNERS; ++corner) {
        const int4 whole = convert_int4_rte(scale * corner_weight(s, corner) * parts);
        volatile __local int *sums = to + (corner / 2 * WINDOW_COLUMNS + corner % 2) * CELL;
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
