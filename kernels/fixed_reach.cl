/* fixed_reach: how large, and how many, the terms can be that come to the input's gradient, for sums in fixed point (see fixed).
 *
 *     reach[g][pixel] = max over samples of offset group g with a corner there: 513 + exponent of |mask * weight of the corner|
 *                       + exponent of the largest |grad_output| of an output
 *     counts[g][pixel] = samples whose first corner is there
 *
 * grad_output [N][O][P], offset [N][OG][K][2][P], mask [N][OG][K][P]; reach and counts as pixels of the ring (see ring), zeros before; reach
 * is 0 where all that comes is 0. A maximum, and a count, are the same in any order. What isn't finite counts as 0.
 *
 * Work-group i: pixels [i * TILE_PIXELS, ..) of the batch. Work-item t: pixel t % TILE_PIXELS, every PARTS-th of the outputs, then every
 * PARTS-th of the pixel's samples. Local memory: largest_of [PARTS][TILE_PIXELS]. */
<%namespace name="plan" file="plan.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="plan.cl"/>
<%include file="quads.cl"/>
<%include file="planned_sample.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define PARTS ${parts}

static inline float finite_size(float value) { return fabs(value) <= FLT_MAX ? fabs(value) : 0.0f; }

/* Its exponent; that of the least normal number for less. */
static inline int exponent_of(float size) { return max((int)(as_uint(size) >> 23), 1) - 127; }

static inline void grows(volatile __global uint *to, uint value)
{
% if integers == "nvidia":
    uint seen; /* most change nothing: looking first is faster */
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(to) : "memory");
    if (seen >= value) return;
% endif
    atomic_max(to, value);
}

__kernel __attribute__((reqd_work_group_size(TILE_PIXELS * PARTS, 1, 1)))
void fixed_reach(
    __global const data_t *restrict grad_output,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    volatile __global uint *reach,
    volatile __global uint *counts,
    int batch, int height, int width, int out_height, int out_width)
{
    __local float largest_of[PARTS * TILE_PIXELS];
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const int part = t / TILE_PIXELS;
    const int pixels = out_height * out_width;
    const long end = (long)batch * pixels;
    const long at = min((long)get_group_id(0) * TILE_PIXELS + mine, end - 1);
    const int n = (int)(at / pixels);
    const index_t pixel = (index_t)(at % pixels);
    const index_t ring = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
    const int oy = (int)(at % pixels) / out_width, ox = (int)(at % pixels) % out_width;

    float largest = 0.0f;
    #pragma unroll 8
    for (int o = part; o < OUT_CHANNELS; o += PARTS)
        largest = fmax(largest, finite_size(load_data(grad_output, ((index_t)n * OUT_CHANNELS + o) * pixels + pixel)));
    largest_of[t] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < PARTS; ++i) largest = fmax(largest, largest_of[i * TILE_PIXELS + mine]);
    if (largest == 0.0f) return;

    for (int i = part; i < SAMPLE_GROUPS * TAPS; i += PARTS) {
        const int tap = i % TAPS;
% if offset_groups:
        const int g = i / TAPS;
% endif
        const plan_t p = ${plan.here("g")};
        if (finite_size(p.y) == 0.0f || PLAN_PIXEL(p) == RING_OUTSIDE) continue;
        const index_t to = (index_t)${"g" if offset_groups else "0"} * ring + PLAN_PIXEL(p);
        const sample_t s = planned_sample(p, 0);
        const int steps[4] = {0, 1, width + 1, width + 2};
        for (int corner = 0; corner < CORNERS; ++corner) {
            const float size = fabs(p.y * corner_weight(s, corner));
            const uint exponent = (uint)(513 + exponent_of(size) + exponent_of(largest));
            if (size > 0.0f) grows(reach + to + steps[corner], exponent);
        }
        atomic_inc(counts + to);
    }
}
