/* fixed_reach: how large, and how many, the terms can be that come to the input's gradient, for sums in fixed point (see fixed).
 *
 *     a sample brings a corner at most: |mask| * weight of the corner * norm of its pixel's grad_output (see fixed_norms) = size * share,
 *         share = the corner's weight, at least LEAST_SHARE, so that a corner of little weight has no large size
 *     reach[g][pixel][0] = max over samples of offset group g with a corner there: size, as bits of a float
 *     reach[g][pixel][1] = sum over them: share in WEIGHT_UNITS, rounded up: all their terms together are at most the product
 *
 * norms [N][P], offset [N][OG][K][2][P], mask [N][OG][K][P]; reach as pixels of the ring (see ring), zeros before. A maximum, and a sum of
 * integers, are the same in any order. What isn't finite counts as 0. Where norms are negative, the sum is more than FEW_WEIGHT, as if there were
 * many terms.
 *
 * Work-group (i, g): a block of ROWS x COLUMNS outputs of an image, block after block, in offset group g. Work-item t: output t of the block,
 * at all taps. Most samples lie near each other: they meet in a window of the ring in local memory, and what came there is brought to
 * global memory at once; the rest goes there one by one. The window lies where it would without offsets, or where the middle one of the block
 * brings it, if that is further than MARGIN.
 *
 * Local memory: most and weights [WINDOW_ROWS][WINDOW_COLUMNS], of the window. */
<%namespace name="plan" file="plan.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="plan.cl"/>
<%include file="quads.cl"/>
<%include file="planned_sample.cl"/>
<%include file="norm.cl"/>
#define ROWS ${rows}
#define COLUMNS ${columns}
#define WINDOW_ROWS ${window_rows}
#define WINDOW_COLUMNS ${window_columns}
#define WINDOW (WINDOW_ROWS * WINDOW_COLUMNS)
#define MARGIN ${margin}
#define WEIGHT_UNITS ${weight_units}
#define FEW_WEIGHT ${few_weight}
#define LEAST_SHARE 0.125f

__kernel __attribute__((reqd_work_group_size(ROWS * COLUMNS, 1, 1)))
void fixed_reach(
    __global const float *restrict norms,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    volatile __global uint *reach, int batch, int height, int width, int out_height, int out_width)
{
    volatile __local uint most[WINDOW];
    volatile __local uint weights[WINDOW];
    const int t = (int)get_local_id(0);
    const int g = (int)get_global_id(1);
    const int down = (out_height + ROWS - 1) / ROWS, across = (out_width + COLUMNS - 1) / COLUMNS;
    const int n = (int)get_group_id(0) / (down * across);
    const int block = (int)get_group_id(0) % (down * across);
    const int first_y = block / across * ROWS, first_x = block % across * COLUMNS;
    const int oy = first_y + t / COLUMNS, ox = first_x + t % COLUMNS;
    const int pixels = out_height * out_width;
    const int steps[4] = {0, 1, width + 1, width + 2};
    const index_t ring = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
    int row = tap_row(first_y, 0) - MARGIN, column = tap_column(first_x, 0) - MARGIN;
% if offset_groups:
    {
        const int tap = TAPS / 2;
        const index_t pixel = (index_t)min(first_y + ROWS / 2, out_height - 1) * out_width + min(first_x + COLUMNS / 2, out_width - 1);
        const float down = load_offset(offset, 2 * ENTRY(g) * pixels + pixel), right = load_offset(offset, (2 * ENTRY(g) + 1) * pixels + pixel);
        if (fabs(down) > MARGIN && fabs(down) < (float)(height + PAD_TOP + PAD_BOTTOM)) row += (int)down;
        if (fabs(right) > MARGIN && fabs(right) < (float)(width + PAD_LEFT + PAD_RIGHT)) column += (int)right;
    }
% endif
    const int first = ring_pixel(n, clamp(row, -1, height), clamp(column, -1, width), height, width);
    volatile __global uint *own = reach + 2L * g * ring;

    for (int i = t; i < WINDOW; i += ROWS * COLUMNS) most[i] = weights[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    const int real = oy < out_height && ox < out_width;
    const index_t pixel = real ? (index_t)oy * out_width + ox : 0;
    const float signed_norm = real ? norms[(index_t)n * pixels + pixel] : 0.0f, norm = fabs(signed_norm);
    const uint at_least = signed_norm < 0.0f ? FEW_WEIGHT + 1 : 0;
    #pragma unroll 3
    for (int tap = 0; tap < (norm > 0.0f ? TAPS : 0); ++tap) {
        const plan_t p = ${plan.here("g")};
        if (finite_size(p.y) == 0.0f || PLAN_PIXEL(p) == RING_OUTSIDE) continue;
        /* Any way to take it apart is right that is put together again: rows of the ring follow one another. */
        const int from = PLAN_PIXEL(p) - first;
        const int down = from / (width + 1), right = from % (width + 1);
        const int near = from >= 0 && down < WINDOW_ROWS - 1 && right < WINDOW_COLUMNS - 1;
        const sample_t s = planned_sample(p, 0);
        #pragma unroll
        for (int corner = 0; corner < CORNERS; ++corner) {
            const float weight = corner_weight(s, corner);
            if (!(weight > 0.0f)) continue;
            const float share = fmax(weight, LEAST_SHARE);
            const uint size = as_uint(fmax(fabs(p.y) * norm * (weight / share), FLT_MIN));
            const uint units = (uint)ceil(share * WEIGHT_UNITS);
            if (near) {
                const int at = (down + corner / 2) * WINDOW_COLUMNS + right + corner % 2;
                atomic_max(most + at, size);
                atomic_add(weights + at, units);
                if (at_least) atomic_max(weights + at, at_least);
            } else {
                atomic_max(own + 2L * (PLAN_PIXEL(p) + steps[corner]), size);
                atomic_add(own + 2L * (PLAN_PIXEL(p) + steps[corner]) + 1, units);
                if (at_least) atomic_max(own + 2L * (PLAN_PIXEL(p) + steps[corner]) + 1, at_least);
            }
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t; i < WINDOW; i += ROWS * COLUMNS) {
        volatile __global uint *to = own + 2L * (first + i / WINDOW_COLUMNS * (width + 1) + i % WINDOW_COLUMNS);
        if (weights[i] == 0) continue;
        atomic_max(to, most[i]);
        atomic_add(to + 1, weights[i]);
    }
}
