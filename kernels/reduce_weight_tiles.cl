/* reduce_weight_tiles: grad_weight from the segments that the weight's pass by matrix units summed, of each tile in the order of its pixels.
 *
 *     grad_weight[o, c, tap] = sum over the segments of its tile
% if bias:
 *     grad_bias[o] = sum over the blocks of pixels: partial_bias[o][block], in a fixed order
% endif
 *
 * partial [WORKERS + TILES - 1][TOTAL_QUADS][ITEMS] of quads, see weight_tile; grad_weight [O][C/groups][K].
% if bias:
 * The first OUT_CHANNELS work-groups: an output of the bias each, of which a work-item adds up every REDUCE_ITEMS-th block. The next:
% endif
 * Work-group (ROWS * g + o) * CHUNKS * PARTS + PARTS * c + p: of group g 16 outputs from 16 * o on, channels from UNIT * c and taps from
 * TOGETHER * p on, which local memory brings from the order of the matrix units' sums into the gradient's. A sub-group of 32 adds up a part of
 * a unit after another. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="weight_tile.cl"/>
#define REDUCE_ITEMS ${reduce_items}
#define TOGETHER ${together}
#define PARTS ((TAPS + TOGETHER - 1) / TOGETHER)
#define ROWS ((GROUP_OUT + 15) / 16)
#define STRIDE (UNIT * TOGETHER + 4)
#define TOUCHED ((TOGETHER - 1) / UNITS + 2) /* tiles, at most */

% if bias:
/* The sum of a row of `count` numbers, by all work-items; the first has it. */
static inline float row_sum(__local float *sums, __global const float *restrict row, int count)
{
    const int item = (int)get_local_id(0);
    float sum = 0.0f;
    #pragma unroll 4
    for (int i = item; i < count; i += REDUCE_ITEMS) sum += row[i];
    sums[item] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = REDUCE_ITEMS / 2; half_of > 0; half_of /= 2) {
        if (item < half_of) sums[item] += sums[item + half_of];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return sums[item];
}

% endif
__kernel __attribute__((reqd_work_group_size(REDUCE_ITEMS, 1, 1)))
void reduce_weight_tiles(
    __global const float4 *restrict partial, __global data_t *restrict grad_weight,
    ${"__global const float *restrict partial_bias, __global data_t *restrict grad_bias, " if bias else ""}int blocks, int workers)
{
    __local float sums[16 * STRIDE]; /* at least REDUCE_ITEMS, for UNIT is at least 32 */
    __local int2 segments[TOUCHED];
    const int item = (int)get_local_id(0), lane = item % 32;
    int work_group = (int)get_group_id(0);
% if bias:
    if (work_group < OUT_CHANNELS) {
        const float sum = row_sum(sums, partial_bias + (index_t)work_group * blocks, blocks);
        if (item == 0) store_data(grad_bias, work_group, sum);
        return;
    }
    work_group -= OUT_CHANNELS;
% endif
    const int column = work_group % (CHUNKS * PARTS), row = work_group / (CHUNKS * PARTS);
    const int first_tap = column % PARTS * TOGETHER, chunk = column / PARTS, rows = row % ROWS, group = row / ROWS;
    const int taps = TAPS % TOGETHER ? min(TOGETHER, TAPS - first_tap) : TOGETHER, first_unit = chunk * TAPS + first_tap;
    const int first_tile = (group * OUT_TILES + rows / (TILE_OUT / 16)) * COLUMN_TILES + first_unit / UNITS;

    if (item < TOUCHED) {
        const long all = (long)TILES * blocks, begin = (long)(first_tile + item) * blocks;
        segments[item] = (int2)(worker_of(begin, workers, all), worker_of(begin + blocks - 1, workers, all));
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int i = item / 32; i < taps * (UNIT / 8); i += REDUCE_ITEMS / 32) {
        const int tap = i / (UNIT / 8), unit = first_unit + tap, tile = unit / UNITS - first_unit / UNITS;
        const int2 at = quads_at(unit % UNITS, i % (UNIT / 8), rows % (TILE_OUT / 16));
        const int t = at.x * 32 + lane;
        __global const float4 *from = partial + ((index_t)(segments[tile].x + first_tile + tile) * TOTAL_QUADS + at.y) * ITEMS + t;
        float4 sum = (float4)(0.0f);
        #pragma unroll 4
        for (int worker = segments[tile].x; worker <= segments[tile].y; ++worker) {
            sum += *from;
            from += TOTAL_QUADS * ITEMS;
        }
% for i in range(4):
        sums[out_of(t, 4 * at.y + ${i}) % 16 * STRIDE + column_of(t, 4 * at.y + ${i}) % UNIT * taps + tap] = sum.s${i};
% endfor
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    const int run = min(UNIT, GROUP_IN - chunk * UNIT) * taps;
    for (int i = item; i < 16 * UNIT * TOGETHER; i += REDUCE_ITEMS) {
        const int out = rows * 16 + i / (UNIT * TOGETHER), at = i % (UNIT * TOGETHER);
        const int c = chunk * UNIT + at / taps;
        const index_t to = ((index_t)(group * GROUP_OUT + out) * GROUP_IN + c) * TAPS + first_tap + at % taps;
        if (out < GROUP_OUT && at < run) store_data(grad_weight, to, sums[out % 16 * STRIDE + at]);
    }
}
