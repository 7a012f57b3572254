/* pack_grad_matrix: the gradient of the output as backward_weight_matrix reads it, in halves: each pixel of a group scaled by its own power
 * of two, in PARTS parts.
 *
 *     grad_output[o][p] * 2**e = part 0 + part 1 + less than 2**-22 of it,   e such that the pixel's largest lies in [2**14, 2**15)
 *     packed[block][group][part][o of OUTS][octet of pixels, see OCTET_AT]
 *     places[block][group][p of BLOCK] = (image, row, column, bits of 2**-e); image -1 beyond the last; 2**-e is 0 where all are 0, and NaN
 *     where halves don't do: a pixel with an infinity or a NaN, or of which two of a work-item's outputs, or one by far, lie further than
 *     2**-DOUBT_BITS below the largest
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
#define PAIRS (BLOCK / 2)
#define ROWS (ITEMS / PAIRS)

% if sums:
/* The sum over the lanes of a warp that have the same output. */
static inline float sum_of_lanes(float value)
{
    #pragma unroll
    for (int step = PAIRS / 2; step > 0; step /= 2) {
        float other;
        asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(value), "r"(step));
        value += other;
    }
    return value;
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
    const int t = (int)get_local_id(0);
    const int pair = t % PAIRS, row = t / PAIRS;
    const int group = (int)get_group_id(1);
    const index_t pixels = (index_t)out_height * out_width;
    const index_t end = batch * pixels;
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

    uint2 most = (uint2)(0); /* as bits, which order what isn't finite behind all numbers */
    #pragma unroll 4
    for (int o = row; o < GROUP_OUT; o += ROWS)
        most = max(most, (uint2)(as_uint(fabs(load_data(from[0], o * pixels))), as_uint(fabs(load_data(from[1], o * pixels)))));
    most_of[t] = most;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < ROWS; ++i) most = max(most, most_of[i * PAIRS + pair]);
    const float2 scale = (float2)(scale_for(as_float(most.x)), scale_for(as_float(most.y)));
    const float2 least = as_float2(most) * as_float((127u - DOUBT_BITS) << 23);
    const float2 by_far = as_float2(most) * as_float((127u - FAR_BITS) << 23);

    __global half *to = packed + ((index_t)get_group_id(0) * GROUPS + group) * (PARTS * OUTS * BLOCK);
    int2 small = (int2)(0);
    #pragma unroll 4
    for (int o = row; o < OUTS; o += ROWS) {
        float2 value = (float2)(0.0f);
        if (o < GROUP_OUT && place[0].x >= 0) value.x = load_data(from[0], o * pixels);
        if (o < GROUP_OUT && place[1].x >= 0) value.y = load_data(from[1], o * pixels);
% if sums:
        const float sum = sum_of_lanes(value.x + value.y);
        if (pair == 0 && o < GROUP_OUT) partial_bias[(index_t)(group * GROUP_OUT + o) * get_num_groups(0) + get_group_id(0)] = sum;
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
