## Samples as a matrix unit's fragments take them, for forward_matrix: plans, the corners that are fetched, what becomes of them.
## Needs sample, ring, strips, plan, matrix, and the names of forward_matrix.
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="kept" file="kept_samples.cl"/>\
<%
corners = 4 if offset_groups else 1
by_groups = plans % 2 == 0 and kernel_y * kernel_x > 4  # two work-items share groups, not taps: which tap is known when this is compiled
first, step, past = (0, 1, "TAPS") if by_groups else ("half_of", 2, "PLANS * TAPS")
%>\
/* First offset group of a chunk. */
static inline int chunk_group(int first_channel, int chunk) { return (first_channel + chunk * CHUNK) / SAMPLE_CHANNELS; }
% if offset_groups and plans > 1:
/* And the last: beyond a group's channels begin others, whose masks are not to decide how these are scaled. */
static inline int last_chunk_group(int first_channel, int chunk) { return (first_channel + min((chunk + 1) * CHUNK, GROUP_IN) - 1) / SAMPLE_CHANNELS; }
% endif

/* Whether a chunk needs other plans than the one before it. */
static inline int new_plans(int first_channel, int chunk)
{
% if plans > 1:
    (void)first_channel, (void)chunk;
    return 1;
% else:
    return chunk == FIRST_CHUNK || chunk_group(first_channel, chunk) != chunk_group(first_channel, chunk - 1);
% endif
}

% if planned:
/* Whether offset group g begins in a chunk. */
static inline int begins_in(int first_channel, int chunk, int g)
{
    const int c = g * SAMPLE_CHANNELS - first_channel;
    return c >= chunk * CHUNK && c < min((chunk + 1) * CHUNK, GROUP_IN);
}

% endif
<%include file="scale.cl"/>
/* Image, row and column of output pixel `at` of the batch, in the order of strips. */
static inline int4 place_of(long at, int out_height, int out_width)
{
    const int pixels = out_height * out_width;
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    return (int4)((int)(at / pixels), p, 0);
}

/* The plans of a chunk's offset groups, all taps and a team's pixels, their masks scaled; a pixel's two work-items share its plans.
% if planned:
 * Unscaled they are left to the backward, by the first tile, and the first chunk that has channels of a group.
% endif
 */
static inline void make_plans(
    __local plan_t *plan, __local float *scales, __local float *largest_in, __global const uint *restrict largest,
${plan.operands(forward=True)}\
    __local const int4 *places, int first_channel, int chunk, int height, int width, int out_height, int out_width)
{
    const int mine = (int)get_local_id(0) % TEAM_PIXELS;
    const int half_of = (int)get_local_id(0) % TEAM / TEAM_PIXELS;
    const int pixels = out_height * out_width;
    const int n = places[mine].x, oy = places[mine].y, ox = places[mine].z;
    const index_t pixel = (index_t)oy * out_width + ox;
    (void)pixel; /* an ordinary convolution has no offsets to read */
    float most = 0.0f;
% if by_groups:
    for (int group = half_of; group < PLANS; group += 2)
    #pragma unroll
% else:
    const int group = 0;
% endif
    for (int begin = ${first}; begin < ${past}; begin += ${step} * BATCH) {
        plan_t made[BATCH];
        #pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            const int i = min(begin + ${step} * b, ${past} - 1);
            const int tap = i % TAPS;
% if offset_groups:
            const int g = min(chunk_group(first_channel, chunk) + group + i / TAPS, ${"last_chunk_group(first_channel, chunk)" if plans > 1 else "SAMPLE_GROUPS - 1"});
% endif
            made[b] = ${plan.here("g")};
        }
        #pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            __global const uint *corner = largest + PLAN_PIXEL(made[b]);
            most = fmax(most, fabs(made[b].y) * ${"sample_bound(made[b], corner[0], corner[width + 1])" if offset_groups else "left_of(corner[0])"});
            if (begin + ${step} * b < ${past}) plan[(group * TAPS + begin + ${step} * b) * TEAM_PIXELS + mine] = made[b];
        }
    }
    largest_in[half_of * TEAM_PIXELS + mine] = most;
    team_barrier();
    const float bound = fmax(largest_in[mine], largest_in[mine + TEAM_PIXELS]), scale = scale_for(bound);
    const float by = bound > 0.0f ? scale : 0.0f; /* where nothing is taken but zeros, masks times 2**126 may be infinite */
    for (int i = half_of; i < PLANS * TAPS; i += 2) {
% if planned:
        const int tap = i % TAPS;
        const int g = chunk_group(first_channel, chunk) + i / TAPS;
        if (begins_in(first_channel, chunk, g) && (int)get_group_id(1) % TILES == 0) ${plan.kept("g")} = plan[i * TEAM_PIXELS + mine];
% endif
        plan[i * TEAM_PIXELS + mine].y *= by;
    }
    if (half_of == 0) scales[mine] = scale;
    team_barrier();
}

/* Of the 8 lanes that share two rows of the fragments, each samples VEC channels of both, so that together they read whole lines: row h of
 * the pair, of the lane's rows r (0) or 8 further (1). Its channels, whether they are real, and their plan: */
static inline int in_group(int chunk) { return chunk * CHUNK + (int)get_local_id(0) % 8 * VEC; }
static inline int real(int channel) { return GROUP_IN % CHUNK == 0 || channel < GROUP_IN; }
static inline plan_t plan_here(__local const plan_t *plan, int first_channel, int chunk)
{
    const int c = in_group(chunk);
    const int g = PLANS > 1 && real(c) ? (first_channel + c) / SAMPLE_CHANNELS - chunk_group(first_channel, chunk) : 0;
    return plan[g * TAPS * TEAM_PIXELS];
}

/* Begin to fetch the corners of what a lane samples of a pair of rows. */
static inline void fetch(__global const data_t *restrict ring, __local const plan_t *plan, int first_channel, int chunk, int below, uint4 *raw)
{
    const int c = in_group(chunk);
    #pragma unroll
    for (int h = 0; h < 2; ++h) {
        const plan_t p = plan_here(plan + h, first_channel, chunk);
        __global const data_t *from = ring + (real(c) ? (long)PLAN_PIXEL(p) * IN_CHANNELS + first_channel + c : 0);
% for corner in range(corners):
        raw[h * ${corners} + ${corner}] = *(__global const uint4 *)(from + ${("0", "IN_CHANNELS", "below", "below + IN_CHANNELS")[corner]});
% endfor
    }
}

<%include file="sample_halves.cl"/>
% if sampled:
${kept.layout()}\
/* A store that is no branch, of what is read once and later. */
<% words = "xyzw"[:2 * parts] %>\
static inline void store_if(int wanted, __global kept_t *to, kept_t value)
{
    asm volatile("{\n.reg .pred wanted;\nsetp.ne.s32 wanted, %0, 0;\n@wanted st.global.cs.v${2 * parts}.u32 [%1], {${", ".join("%%%d" % (2 + n) for n in range(2 * parts))}};\n}"
        :: "r"(wanted), "l"(to), ${", ".join('"r"(value.%s)' % word for word in words)} : "memory");
}

/* Of two words of two halves, both first ones and both second ones. */
static inline uint both_first(uint a, uint b) { return (a & 0xffffu) | b << 16; }
static inline uint both_second(uint a, uint b) { return a >> 16 | (b & 0xffff0000u); }

% endif
/* A pair of rows as row r of the fragments of all parts and steps: a lane keeps what it has of its own row, and exchanges the rest with
 * the lane that has the other unit of channels.
% if sampled:
 * They are left to the backward, too, at `kept`, where that is wanted.
% endif
 */
static inline void sample_rows(
    const uint4 *raw, __local const plan_t *plan, int first_channel, int chunk, int r,${" int leaves, __global kept_t *kept," if sampled else ""} uint *a)
{
    const int upper = (int)get_local_id(0) % 8 / LANES; /* which of the two rows, and which unit, is the lane's own */
    uint halves[2][PARTS * VEC / 2];
    #pragma unroll
    for (int h = 0; h < 2; ++h) {
        float v[VEC];
        blend_corners(raw + h * ${corners}, plan_here(plan + h, first_channel, chunk), v);
        as_halves(v, halves[h]);
    }
% if sampled:
% for m in range(vec // 2):
    store_if(leaves, kept + KEPT_AT(${m}, r), (kept_t)(${", ".join("%s(halves[0][%d], halves[1][%d])" % (which, i, i) for i in range(m, parts * vec // 2, vec // 2) for which in ("both_first", "both_second"))}));
% endfor
% endif
    #pragma unroll
    for (int i = 0; i < PARTS * VEC / 2; ++i) {
        const uint own = upper ? halves[1][i] : halves[0][i];
        const uint got = of_other_unit(upper ? halves[0][i] : halves[1][i]);
        const int part = i / (VEC / 2), pair = i % (VEC / 2);
        const int at = (part * STEPS + pair / 2) * 4 + pair % 2 * 2 + r;
        a[at] = upper ? got : own;
        a[at + VEC / 4 * 4] = upper ? own : got;
    }
}
