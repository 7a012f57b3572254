<%page args="name='make_packed'"/>\
/* What pack_weight_matrix does, for work-group `work_group` of ITEMS work-items: columns are packed, each of PACKED_DEPTH * TAPS numbers,
 * number k of them at PACKED_FROM(group, column, k) of the weight. Needs combined. */
#define DEPTH (PACKED_DEPTH * TAPS)

static inline void ${name}(
    int work_group, __local float4 *all, __global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale)
{
    const int t = (int)get_local_id(0);
    const int column = work_group % TILE_OUT;
    const int tile = work_group / TILE_OUT % TILES;
    const int group = work_group / (TILE_OUT * TILES);
    const int in_group = tile * TILE_OUT + column;
    const int real = in_group < PACKED_COLUMNS;
    const int from = min(in_group, PACKED_COLUMNS - 1);

    float4 seen = (float4)(0.0f); /* the largest; how many are strange */
    #pragma unroll 8
    for (int k = t; k < DEPTH; k += ITEMS) {
        const float size = fabs(load_data(weight, PACKED_FROM(group, from, k)));
        seen.x = fmax(seen.x, size);
        seen.y += !(size <= FLT_MAX);
    }
    seen = combined(all, seen);
    const float most = seen.x;
    const float least = ldexp(most, -DOUBT_BITS);
    float4 counted = (float4)(0.0f); /* how many are too small; how many are there */
    #pragma unroll 8
    for (int k = t; k < DEPTH; k += ITEMS) {
        const float size = fabs(load_data(weight, PACKED_FROM(group, from, k)));
        counted.y += size > 0.0f && size < least;
        counted.z += size > 0.0f;
    }
    counted = combined(all, counted);
    const int wanted = most > 0.0f && most <= FLT_MAX ? 13 - ilogb(most) : 0;
    const int exponent = clamp(wanted, -100, 100);
    if (t == 0) unscale[work_group] = seen.y > 0.0f || 8.0f * counted.y > counted.z || exponent != wanted ? NAN : ldexp(1.0f, -exponent);

    __global half *to = packed + (index_t)(group * TILES + tile) * CHUNKS * TAPS * STAGE;
    #pragma unroll 4
    for (int i = t; i < CHUNKS * TAPS * CHUNK; i += ITEMS) {
        const int in_chunk = MATRIX_CHANNEL(i % CHUNK);
        const int tap = i / CHUNK % TAPS;
        const int chunk = i / (CHUNK * TAPS);
        const int c = chunk * CHUNK + in_chunk;
        const float value = real && c < PACKED_DEPTH ? ldexp(load_data(weight, PACKED_FROM(group, from, c * TAPS + tap)), exponent) : 0.0f;
        __global half *stage = to + (index_t)PACKED_STAGE(chunk, tap) * STAGE;
% if parts == 2:
        const float high = fabs(value) < LEAST_HIGH ? 0.0f : as_float((as_uint(value) + 0x1000u) & 0xffffe000u); /* to the 11 bits of a half */
        vstore_half_rte(high, (size_t)MATRIX_WEIGHT(0, column, in_chunk), stage);
        vstore_half_rte((value - high) * LOW_SCALE, (size_t)MATRIX_WEIGHT(1, column, in_chunk), stage);
% else:
        vstore_half_rte(value, (size_t)MATRIX_WEIGHT(0, column, in_chunk), stage);
% endif
    }
}
