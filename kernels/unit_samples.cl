## Samples in local memory as halves, for forward_units: plans and scales of a tile's pixels, and the octets of a step. Needs sample, ring,
## strips, plan, ring_vector, scale, fragments, and the names of forward_units.
<%namespace name="plan" file="plan.cl"/>\
/* First offset group of a chunk. */
static inline int chunk_group(int first_channel, int chunk) { return (first_channel + chunk * CHUNK) / SAMPLE_CHANNELS; }
% if offset_groups and plans > 1:
/* And the last: beyond a group's channels begin others, whose masks are not to decide how these are scaled. */
static inline int last_chunk_group(int first_channel, int chunk) { return (first_channel + min((chunk + 1) * CHUNK, GROUP_IN) - 1) / SAMPLE_CHANNELS; }
% endif

% if offset_groups > 1:
/* Whether a chunk needs other plans than the one before it. */
static inline int new_plans(int first_channel, int chunk)
{
    return chunk == 0 || PLANS > 1 || chunk_group(first_channel, chunk) != chunk_group(first_channel, chunk - 1);
}

% endif
/* The plans of a chunk's offset groups, all taps and the tile's pixels, of which work-items t, t + TILE_PIXELS, .. share pixel t; and
 * what bounds the samples that each of these makes (see sample_bound). */
static inline void make_plans(
    __local plan_t *plan, __local float *largest_in, __global const uint *restrict largest,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    long first, long end, int first_channel, int chunk, int height, int width, int out_height, int out_width)
{
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const long at = min(first + mine, end - 1);
    const int pixels = out_height * out_width;
    const int n = (int)(at / pixels);
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    const int oy = p.x, ox = p.y;
    const index_t pixel = (index_t)oy * out_width + ox;
    (void)pixel, (void)first_channel, (void)chunk; /* an ordinary convolution has no offsets to read */
    float most = 0.0f;
    for (int i = t / TILE_PIXELS; i < PLANS * TAPS; i += ITEMS / TILE_PIXELS) {
        const int tap = i % TAPS;
% if offset_groups:
        const int g = min(chunk_group(first_channel, chunk) + i / TAPS, ${"last_chunk_group(first_channel, chunk)" if plans > 1 else "SAMPLE_GROUPS - 1"});
% endif
        const plan_t made = ${plan.here("g")};
        __global const uint *corner = largest + PLAN_PIXEL(made);
        most = fmax(most, fabs(made.y) * ${"sample_bound(made, corner[0], corner[width + 1])" if offset_groups else "left_of(corner[0])"});
        plan[i * TILE_PIXELS + mine] = made;
    }
    largest_in[t] = most;
}

/* By what the pixels' samples are scaled. */
static inline void make_scales(__local float *scales, __local const float *largest_in)
{
    const int t = (int)get_local_id(0);
    if (t >= TILE_PIXELS) return;
    float most = largest_in[t];
    for (int i = 1; i < ITEMS / TILE_PIXELS; ++i) most = fmax(most, largest_in[t + i * TILE_PIXELS]);
    scales[t] = scale_for(most);
}

/* A work-item's samples of a step, scaled: for each pass channels c .. c + 8 of the chunk at one pixel; zeros beyond the group's last. */
static inline void sample_octets(
    __global const data_t *restrict ring, __local const plan_t *plan, __local const float *scales,
    int first_channel, int chunk, int tap, int below, float8 *octets)
{
    const int t = (int)get_local_id(0);
    #pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
        const int mine = t / OCTETS + pass * ROWS;
        if (!HAS_OCTET(mine)) break;
        float value[8];
        #pragma unroll
        for (int i = 0; i < 8; i += VEC) {
            const int c = chunk * CHUNK + t % OCTETS * 8 + i;
            if (GROUP_IN % CHUNK == 0 || c < GROUP_IN) {
                const int g = PLANS > 1 ? (first_channel + c) / SAMPLE_CHANNELS - chunk_group(first_channel, chunk) : 0;
                sample_ring(ring, plan[(g * TAPS + tap) * TILE_PIXELS + mine], first_channel + c, below, value + i);
            } else {
                #pragma unroll
                for (int j = 0; j < VEC; ++j) value[i + j] = 0.0f;
            }
        }
        octets[pass] = scales[mine] * vload8(0, value);
    }
}

/* Octets into one of the buffers, as halves. */
static inline void store_octets(const float8 *octets, __local half *buffer)
{
    const int t = (int)get_local_id(0);
    #pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
        if (!HAS_OCTET(t / OCTETS + pass * ROWS)) break;
        const float8 value = octets[pass];
        const size_t at = t % OCTETS * ROW + t / OCTETS + pass * ROWS;
% if parts == 2:
        const float8 high = select(as_float8(as_uint8(value) & 0xffffe000u), (float8)(0.0f), isless(fabs(value), (float8)(LEAST_HIGH)));
        vstorea_half8_rte(high, at, buffer);
        vstorea_half8_rte((value - high) * LOW_SCALE, OCTETS * ROW + at, buffer);
% else:
        vstorea_half8_rte(value, at, buffer);
% endif
    }
}
