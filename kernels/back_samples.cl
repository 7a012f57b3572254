/* The way back from a column, for backward_data_matrix: what a lane does with a quad of channels of one pixel, and with its warp's dots. */
#define PIXEL_ROWS (WARP_PIXELS / 8) /* of four; the others are of the same pixels, BESIDE in the channels */
#define PAIR(rows) ((rows) % PIXEL_ROWS * 8 + lane / 8 * 2) /* the first of the two pixels that eight lanes share */
#define BESIDE(rows) ((rows) / PIXEL_ROWS * 32)
#define GROUP_LANES (SAMPLE_CHANNELS < 16 ? SAMPLE_CHANNELS / 4 : 4) /* that have channels of one sample group, of four */
#define PIXELS_A_LANE (GROUP_LANES > 1 ? 1 : 2) /* of two pixels' dots, those that a lane sums up */
static inline float of_lane(float given, int distance)
{
    float got;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(got) : "f"(given), "r"(distance));
    return got;
}

% if needs_input:
static inline int of_lane_number(int given, int lane)
{
    int got;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, -1;" : "=r"(got) : "r"(given), "r"(lane));
    return got;
}

static inline int all_lanes(int true_here)
{
    int all;
    asm volatile("{\n.reg .pred here, all;\nsetp.ne.b32 here, %1, 0;\nvote.sync.all.pred all, here, -1;\nselp.b32 %0, 1, 0, all;\n}" : "=r"(all) : "r"(true_here));
    return all;
}

/* The sum over the lanes that have the same quad of other pixels. */
static inline float4 over_pixels(float4 given)
{
    #pragma unroll
    for (int distance = 8; distance < 32; distance *= 2)
        given += (float4)(of_lane(given.s0, distance), of_lane(given.s1, distance), of_lane(given.s2, distance), of_lane(given.s3, distance));
    return given;
}
% endif

/* The unit gives a lane two quads of a pixel. Eight lanes, who have two pixels, exchange half, so that each has one quad of both, and
 * together they read and add whole lines: column[i] is quad lane % 8 of pixel i. */
static inline void pair_up(const float sums[4][4], int r, float4 *column)
{
    const int odd = (int)get_local_id(0) % 8 / 4;
    #pragma unroll
    for (int h = 0; h < 2; ++h) column[h] = (float4)(sums[2 * h][2 * r], sums[2 * h][2 * r + 1], sums[2 * h + 1][2 * r], sums[2 * h + 1][2 * r + 1]);
    const float4 given = odd ? column[0] : column[1];
    const float4 got = (float4)(of_lane(given.s0, 4), of_lane(given.s1, 4), of_lane(given.s2, 4), of_lane(given.s3, 4));
    column[0] = odd ? got : column[0];
    column[1] = odd ? column[1] : got;
}

% if needs_offset or needs_mask:
% if dotted:
/* Of the dots of eight lanes with two pixels: dot lane % 4 of pixel lane % 8 / 4, summed over all eight. */
static inline float summed_dot(const float dot[2][4])
{
    const int lane = (int)get_local_id(0) % 8;
    const int next = lane / 4, upper = lane % 4 / 2, odd = lane % 2;
    float of_pixel[4];
    #pragma unroll
    for (int q = 0; q < 4; ++q) of_pixel[q] = (next ? dot[1][q] : dot[0][q]) + of_lane(next ? dot[0][q] : dot[1][q], 4);
    const float first = (upper ? of_pixel[2] : of_pixel[0]) + of_lane(upper ? of_pixel[0] : of_pixel[2], 2);
    const float second = (upper ? of_pixel[3] : of_pixel[1]) + of_lane(upper ? of_pixel[1] : of_pixel[3], 2);
    return (odd ? second : first) + of_lane(odd ? first : second, 1);
}
% else:
/* The dots of a pixel, summed over the GROUP_LANES lanes that have a sample group's channels: of pixel lane % 2 of two, or of pixel `turn`
 * where a lane has a whole group. */
static inline void sum_dots(const float dot[2][4], int turn, float *sum)
{
    const int next = PIXELS_A_LANE == 1 ? (int)get_local_id(0) % 2 : turn;
    #pragma unroll
    for (int q = 0; q < 4; ++q) {
        sum[q] = next ? dot[1][q] : dot[0][q];
        if (GROUP_LANES > 1) sum[q] += of_lane(next ? dot[0][q] : dot[1][q], 1);
        if (GROUP_LANES > 2) sum[q] += of_lane(sum[q], 2);
    }
}
% endif
% endif

% if needs_input:
/* Whether all of a warp's samples, group by group, lie in one cell. */
static inline int in_one_cell(__local const plan_t *its)
{
    const int lane = (int)get_local_id(0) % 32;
    const int pixel = PLAN_PIXEL(its[PAIR(0)]);
    int same = pixel == of_lane_number(pixel, lane % 8);
    #pragma unroll
    for (int i = 1; i < 2 * PIXEL_ROWS; ++i) same &= pixel == PLAN_PIXEL(its[PAIR(i / 2) + i % 2]);
    return all_lanes(same);
}

% endif

/* Columns [channel, channel + 4) of pixel `where` once more, in float32, from the operands as the caller has them. */
__attribute__((noinline)) static float4 column_again(
    __global const data_t *restrict grad_output, __global const data_t *restrict weight, int2 where, int pixels, int channel, int tap)
{
    const int group = channel / GROUP_IN;
    __global const data_t *grad = grad_output + ((index_t)where.x * OUT_CHANNELS + group * GROUP_OUT) * pixels + where.y;
    float4 sum = (float4)(0.0f);
    #pragma unroll 4
    for (int o = 0; o < GROUP_OUT; ++o) {
        const index_t from = ((index_t)(group * GROUP_OUT + o) * GROUP_IN + channel % GROUP_IN) * TAPS + tap;
        sum += load_data(grad, (index_t)o * pixels)
             * (float4)(load_data(weight, from), load_data(weight, from + TAPS), load_data(weight, from + 2 * TAPS), load_data(weight, from + 3 * TAPS));
    }
    return sum;
}

/* A warp's sums in a tile where some are in doubt: unscaled, or made again. All pointers at its first pixel and channel, of which there are
 * `channels`. */
static inline void settle(
    float total[2][4][4], __local const float *unscaled, __local const float4 *unscale, __global const data_t *restrict grad_output,
    __global const data_t *restrict weight, __local const int2 *places, int pixels, int first_channel, int channels, int tap)
{
    const int lane = (int)get_local_id(0) % 32;
    #pragma unroll
    for (int i = 0; i < 8; ++i) { /* quad h of pixel i / 2 of the lane */
        const int row = i / 2 % PIXEL_ROWS * 8 + lane / 4, h = i % 2, c = BESIDE(i / 2) + h * 16 + lane % 4 * 4, r = i / 2 % 2 * 2;
        if (c < channels) {
            const float4 by = unscale[c / 4];
            float4 column = (float4)(total[i / 4][2 * h][r], total[i / 4][2 * h][r + 1], total[i / 4][2 * h + 1][r], total[i / 4][2 * h + 1][r + 1]);
            column = column * unscaled[row] * by;
            if (isnan(unscaled[row] + by.s0 + by.s1 + by.s2 + by.s3))
                column = column_again(grad_output, weight, places[row], pixels, first_channel + c, tap);
            total[i / 4][2 * h][r] = column.s0;
            total[i / 4][2 * h][r + 1] = column.s1;
            total[i / 4][2 * h + 1][r] = column.s2;
            total[i / 4][2 * h + 1][r + 1] = column.s3;
        }
    }
}
