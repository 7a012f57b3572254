/* pack_weight_matrix: the weight as matrix units read it, in halves: each output scaled by its own power of two, in PARTS parts.
 *
 *     weight[o] * 2**e = part 0 + part 1 + less than 2**-22 of it,   e such that the output's largest lies in [2**13, 2**14)
 *     packed[group][tile][chunk][tap][what MATRIX_WEIGHT says of part, column and channel]
 *     unscale[(group * TILES + tile) * TILE_OUT + column] = 2**-e; NaN where halves don't do: an output with an infinity, a NaN, or weights
 *     too large or small for such an e, or more than an eighth of them further than 2**-DOUBT_BITS below the largest
 *
 * weight [O][C/groups][K]; outputs beyond the last and channels beyond the last of a chunk are zeros.
 * Work-group i: one output, or one column that is none. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="matrix.cl"/>
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
#define DEPTH (GROUP_IN * TAPS)

/* Of all work-items: the largest x, the sums of y and z. */
static inline float4 combined(__local float4 *all, float4 mine)
{
    const int t = (int)get_local_id(0);
    all[t] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        if (t < half_of) all[t] = (float4)(fmax(all[t].x, all[t + half_of].x), all[t].yzw + all[t + half_of].yzw);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float4 result = all[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void pack_weight_matrix(__global const data_t *weight, __global half *packed, __global float *unscale)
{
    __local float4 all[ITEMS];
    const int t = (int)get_local_id(0);
    const int column = (int)get_group_id(0) % TILE_OUT;
    const int tile = (int)get_group_id(0) / TILE_OUT % TILES;
    const int group = (int)get_group_id(0) / (TILE_OUT * TILES);
    const int out = tile * TILE_OUT + column;
    const index_t row = (index_t)(group * GROUP_OUT + min(out, GROUP_OUT - 1)) * DEPTH;

    float4 seen = (float4)(0.0f); /* the largest; how many are strange */
    for (int k = t; k < DEPTH; k += ITEMS) {
        const float size = fabs(load_data(weight, row + k));
        seen.x = fmax(seen.x, size);
        seen.y += !(size <= FLT_MAX);
    }
    seen = combined(all, seen);
    const float most = seen.x;
    const float least = ldexp(most, -DOUBT_BITS);
    float4 counted = (float4)(0.0f); /* how many are too small; how many are there */
    for (int k = t; k < DEPTH; k += ITEMS) {
        const float size = fabs(load_data(weight, row + k));
        counted.y += size > 0.0f && size < least;
        counted.z += size > 0.0f;
    }
    counted = combined(all, counted);
    const int wanted = most > 0.0f && most <= FLT_MAX ? 13 - ilogb(most) : 0;
    const int exponent = clamp(wanted, -100, 100);
    if (t == 0) unscale[get_group_id(0)] = seen.y > 0.0f || 8.0f * counted.y > counted.z || exponent != wanted ? NAN : ldexp(1.0f, -exponent);

    __global half *to = packed + (index_t)(group * TILES + tile) * CHUNKS * TAPS * STAGE;
    for (int i = t; i < CHUNKS * TAPS * CHUNK; i += ITEMS) {
        const int in_chunk = MATRIX_CHANNEL(i % CHUNK);
        const int tap = i / CHUNK % TAPS;
        const int chunk = i / (CHUNK * TAPS);
        const int c = chunk * CHUNK + in_chunk;
        const float value = c < GROUP_IN && out < GROUP_OUT ? ldexp(load_data(weight, row + c * TAPS + tap), exponent) : 0.0f;
        __global half *stage = to + (index_t)(chunk * TAPS + tap) * STAGE;
% if parts == 2:
        const float high = as_float((as_uint(value) + 0x1000u) & 0xffffe000u); /* to the 11 bits of a half */
        vstore_half_rte(high, (size_t)MATRIX_WEIGHT(0, column, in_chunk), stage);
        vstore_half_rte(value - high, (size_t)MATRIX_WEIGHT(1, column, in_chunk), stage);
% else:
        vstore_half_rte(value, (size_t)MATRIX_WEIGHT(0, column, in_chunk), stage);
% endif
    }
}
