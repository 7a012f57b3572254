/* pack_grad_matrix: the gradient of the output as backward_weight_matrix reads it, in halves: each pixel of a group scaled by its own power
 * of two, in PARTS parts.
 *
 *     grad_output[o][p] * 2**e = part 0 + part 1 + less than 2**-22 of it,   e such that the pixel's largest lies in [2**14, 2**15)
 *     packed[block][group][part][o of OUTS][octet of pixels, see OCTET_AT]
 *     places[block][group][p of BLOCK] = (image, row, column, bits of 2**-e); image -1 beyond the last; 2**-e is 0 where all are 0, and NaN
 *     where halves don't do: a pixel with an infinity or a NaN, or of which two outputs DOUBTERS / PAIRS or a multiple of it apart, or
 *     one by far, lie further than 2**-DOUBT_BITS below the largest
% if sums:
 *     partial_bias[o][block] = sum over p of the block: grad_output[o][p]
% endif
 *
 * grad_output [N][O][P]; a block is BLOCK pixels of the batch in the order of strips; outputs and pixels beyond the last are zeros.
 * Work-group (i, g): block i of group g. Work-item t: pixels 2 * (t % PAIRS) and the next, outputs t / PAIRS + i * ROWS. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="strips.cl"/>
<%include file="scale.cl"/>
<%include file="grad_octets.cl"/>
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
#define FAR_BITS (DOUBT_BITS + 8)
#define DOUBTERS ${doubters} /* work-items whose outputs are looked at together, however many there are: what is doubted doesn't depend on that */
#define PAIRS (BLOCK / 2)
#define ROWS (ITEMS / PAIRS)
#define EACH ${each} /* outputs of a work-item${", which it holds between two looks at them" if held else ""} */

/* Two numbers as they are in memory. */
% if dtype == "float32":
#define pair_t float2
static inline float2 numbers(pair_t pair) { return pair; }
% else:
#define pair_t uint
static inline float2 numbers(pair_t pair)
{
% if dtype == "bfloat16":
    return as_float2((uint2)(pair << 16, pair & 0xffff0000u));
% else:
    return (float2)(vload_half(0, (const half *)&pair), vload_half(1, (const half *)&pair));
% endif
}
% endif

/* An output at both pixels of a work-item, 0 beyond the last. Where rows have an even length, they are neighbours. */
static inline pair_t both(__global const data_t *const from[2], const int4 place[2], int o, index_t pixels, int even)
{
    if (o >= GROUP_OUT || place[0].x < 0) return (pair_t)(0);
    if (even) return *(__global const pair_t *)(from[0] + o * pixels);
% if dtype == "float32":
    return (float2)(from[0][o * pixels], place[1].x < 0 ? 0.0f : from[1][o * pixels]);
% else:
    __global const ushort *first = (__global const ushort *)from[0], *second = (__global const ushort *)from[1];
    return first[o * pixels] | (place[1].x < 0 ? 0u : (uint)second[o * pixels] << 16);
% endif
}

% if sums:
#define AT_ONCE ${next(n for n in (8, 4, 2, 1) if held and each % n == 0 or n == 1)}

/* The sums over the lanes of a warp that have the same output, of several outputs, for one waits long for the next lane. */
static inline void add_lanes(float sums[AT_ONCE])
{
    #pragma unroll
    for (int step = PAIRS / 2; step > 0; step /= 2)
        #pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            float other;
            asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(sums[i]), "r"(step));
            sums[i] += other;
        }
}

% endif
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void pack_grad_matrix(
    __global const data_t *restrict grad_output, __global half *restrict packed, __global int4 *restrict places,
    ${"__global float *restrict partial_bias, " if sums else ""}\
    int batch, int height, int width, int out_height, int out_width)
{
    (void)height, (void)width;
    __local uint2 most_of[ITEMS];
    __local uint doubted[BLOCK];
% if items > doubters:
    __local int2 small_of[ITEMS];
% endif
    const int t = (int)get_local_id(0);
    const int pair = t % PAIRS, row = t / PAIRS;
    const int group = (int)get_group_id(1);
    const index_t pixels = (index_t)out_height * out_width;
    const index_t end = batch * pixels;
    const int even = out_width % 2 == 0;
    __global const data_t *from[2];
    int4 place[2];
    #pragma unroll
    for (int i = 0; i < 2; ++i) {
        const index_t at = (index_t)get_group_id(0) * BLOCK + 2 * pair + i;
        const index_t there = min(at, end - 1);
        const int2 p = strip_pixel((int)(there % pixels), out_height, out_width);
        from[i] = grad_output + (there / pixels * OUT_CHANNELS + group * GROUP_OUT) * pixels + (index_t)p.x * out_width + p.y;
        place[i] = (int4)(at < end ? (int)(there / pixels) : -1, p.x, p.y, 0);
    }
    if (t < BLOCK) doubted[t] = 0;

% if held:
    pair_t held[EACH];
% endif
    uint2 most = (uint2)(0); /* as bits, which order what isn't finite behind all numbers */
    #pragma unroll ${"" if held else "4"}
    for (int i = 0; i < EACH; ++i) {
        const pair_t here = both(from, place, row + i * ROWS, pixels, even);
        most = max(most, as_uint2(fabs(numbers(here))));
% if held:
        held[i] = here;
% endif
    }
    most_of[t] = most;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < ROWS; ++i) most = max(most, most_of[i * PAIRS + pair]);
    const float2 scale = (float2)(scale_for(as_float(most.x)), scale_for(as_float(most.y)));
    const float2 least = as_float2(most) * as_float((127u - DOUBT_BITS) << 23);
    const float2 by_far = as_float2(most) * as_float((127u - FAR_BITS) << 23);

    __global half *to = packed + ((index_t)get_group_id(0) * GROUPS + group) * (PARTS * OUTS * BLOCK);
    int2 small = (int2)(0);
    #pragma unroll ${"" if held else "4"}
    for (int i = 0; i < EACH; ++i) {
        const int o = row + i * ROWS;
        float2 value = numbers(${"held[i]" if held else "both(from, place, o, pixels, even)"});
% if sums:
        if (i % AT_ONCE == 0) {
            float sums[AT_ONCE];
            #pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                const float2 of_two = ${"numbers(held[i + k])" if held else "value"};
                sums[k] = of_two.x + of_two.y;
            }
            add_lanes(sums);
            #pragma unroll
            for (int k = 0; k < AT_ONCE; ++k)
                if (pair == 0 && o + k * ROWS < GROUP_OUT)
                    partial_bias[(index_t)(group * GROUP_OUT + o + k * ROWS) * get_num_groups(0) + get_group_id(0)] = sums[k];
        }
% endif
        const float2 size = fabs(value);
        small -= (size > 0.0f && size < least) + (size > 0.0f && size < by_far);
        value *= scale;
        const size_t at = ((size_t)o * (BLOCK / 8) + OCTET_AT(o, pair / 4)) * 4 + pair % 4;
% if parts == 2:
        const float2 high = as_float2((as_uint2(value) + 0x1000u) & 0xffffe000u); /* to the 11 bits of a half */
        vstore_half2_rte(high, at, to);
        vstore_half2_rte(value - high, OUTS * (BLOCK / 2) + at, to);
% else:
        vstore_half2_rte(value, at, to);
% endif
    }
% if items > doubters:
    small_of[t] = small;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t + DOUBTERS; i < ITEMS; i += DOUBTERS) small += small_of[i];
% endif
    if (small.x > 1) doubted[2 * pair] = 1;
    if (small.y > 1) doubted[2 * pair + 1] = 1;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (row < 2) {
        const float by = row == 0 ? scale.x : scale.y;
        const uint largest = row == 0 ? most.x : most.y;
        int4 to_write = row == 0 ? place[0] : place[1];
        to_write.w = as_int(to_write.x < 0 || largest == 0 ? 0.0f : doubted[2 * pair + row] || isnan(by) ? NAN : inverse(by));
        places[((index_t)get_group_id(0) * GROUPS + group) * BLOCK + 2 * pair + row] = to_write;
    }
}
