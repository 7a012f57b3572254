## What backward_weight_matrix knows of a block's samples before any channel is read: plans, and how large the samples may be. Made in three
## steps, so that what each fetches is on its way while other blocks are multiplied. Needs sample, ring, strips, plan, weight_tile, and the
## names of backward_weight_matrix.
<%namespace name="plan" file="plan.cl"/>\
#define PLAN (UNITS * PLANS * BLOCK)
#define PLANS_AT_ONCE ((PLAN + ITEMS - 1) / ITEMS)

/* What a work-item fetches for its plans of a block: ${"as the forward left them" if planned else "what they are made of"}; then how large samples may be, and with which factor. */
typedef struct {
% if planned:
    plan_t made[PLANS_AT_ONCE];
% else:
% if offset_groups:
    uint y[PLANS_AT_ONCE], x[PLANS_AT_ONCE];
% endif
    uint scale[PLANS_AT_ONCE];
% endif
} operands_t;
typedef struct {
    float factor[PLANS_AT_ONCE];
    uint largest[PLANS_AT_ONCE][2];
} sizes_t;

/* Of plan i of a block: whether there is one, and its unit; the first offset group of a unit. */
% if unit == "wgmma":
#define MY_PLAN (MY_ITEM % PLAN) /* no branch may stand where products are under way */
#define has_plan(i) 1
% else:
#define MY_PLAN MY_ITEM
static inline int has_plan(int i) { return PLAN % ITEMS == 0 || i < PLAN; }
% endif
static inline int unit_of(int first_unit, int i) { return min(first_unit + i / (PLANS * BLOCK), CHUNKS * TAPS - 1); }
static inline int first_group(int first_channel, int unit) { return (first_channel + unit / TAPS * UNIT) / SAMPLE_CHANNELS; }

/* Pixels beyond the last have the first's. */
static inline void read_operands(
${plan.operands()}\
    __local const int4 *places, int first_unit, int first_channel, int out_height, int out_width, operands_t *operands)
{
    const int t = MY_PLAN;
    #pragma unroll
    for (int i = 0; i < PLANS_AT_ONCE; ++i) {
        if (!has_plan(t + i * ITEMS)) break;
% if offset_groups or has_mask:
        const int4 where = places[t % BLOCK];
        const int n = max(where.x, 0);
        const index_t pixels = (index_t)out_height * out_width;
        const index_t pixel = (index_t)where.y * out_width + where.z;
        const int unit = unit_of(first_unit, t + i * ITEMS);
        const int tap = unit % TAPS;
        const int g = min(first_group(first_channel, unit) + (t + i * ITEMS) / BLOCK % PLANS, SAMPLE_GROUPS - 1);
% endif
% if planned:
        operands->made[i] = ${plan.kept("g")};
% else:
% if offset_groups:
        operands->y[i] = begin_offset(offset + 2 * ENTRY(g) * pixels + pixel);
        operands->x[i] = begin_offset(offset + (2 * ENTRY(g) + 1) * pixels + pixel);
% endif
        operands->scale[i] = ${"begin_mask(mask + ENTRY(g) * pixels + pixel)" if has_mask else "0"};
% endif
    }
}

/* Pixels beyond the last are zeros of a mask of zero. */
static inline void make_plans(
    const operands_t *operands, __global const uint *restrict largest, __local const int4 *places, __local plan_t *plan,
    int first_unit, int height, int width, sizes_t *sizes)
{
    const int t = MY_PLAN;
    #pragma unroll
    for (int i = 0; i < PLANS_AT_ONCE; ++i) {
        if (!has_plan(t + i * ITEMS)) break;
        const int4 where = places[t % BLOCK];
        const int n = where.x;
% if not planned:
        const int oy = where.y, ox = where.z;
        const int tap = unit_of(first_unit, t + i * ITEMS) % TAPS;
% endif
        const plan_t made = ${"operands->made[i]" if planned else plan.made("begun_offset(operands->y[i])", "begun_offset(operands->x[i])", "begun_mask(operands->scale[i])" if has_mask else "1.0f")};
        const plan_t real = n < 0 ? (plan_t)(PIXEL_IN_PLAN(RING_OUTSIDE), 0.0f, 0.0f, 0.0f) : made;
        plan[t + i * ITEMS] = real;
        __global const uint *corner = largest + PLAN_PIXEL(real);
        sizes->factor[i] = fabs(real.y) * as_float(where.w);
        sizes->largest[i][0] = begin_largest(corner);
        sizes->largest[i][1] = ${"begin_largest(corner + width + 1)" if offset_groups else "0"};
    }
}

/* The largest of a cell's four pixels; integers of such magnitudes compare as these do. */
static inline float most_of(const uint *largest)
{
% if offset_groups:
    return as_float(max(max(largest[0], largest[1]), max(largest[0] << 16, largest[1] << 16)) & 0xffff0000u);
% else:
    return as_float(largest[0] << 16);
% endif
}

/* The largest magnitude that a block's samples may have, times their pixels' factors; infinite where that is in doubt. */
static inline void store_most(const sizes_t *sizes, __local uint *most)
{
    const int t = MY_PLAN;
    if (!has_plan(t)) return; /* a whole warp */
    float size = 0.0f;
    #pragma unroll
    for (int i = 0; i < PLANS_AT_ONCE; ++i) {
        if (!has_plan(t + i * ITEMS)) break;
        const float largest = most_of(sizes->largest[i]);
        size = fmax(size, sizes->factor[i] <= LARGEST_FACTOR && largest <= LARGEST_SAMPLE ? sizes->factor[i] * largest : INFINITY);
    }
    const uint bits = largest_of_warp(as_uint(size));
    if (MY_ITEM % 32 == 0) atomic_max(most, bits);
}
