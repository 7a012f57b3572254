/* What ring_last does, for work-group `work_group` of ITEMS work-items. */
#define CHANNELS ${channels}
#define BLOCK ${block}
#define TILE_PIXELS ${tile_pixels}
#define ROWS (ITEMS / TILE_PIXELS)
#define ITEM_CHANNELS (BLOCK / ROWS)
#define ROW (TILE_PIXELS + 1)

static inline void make_ring(
    int work_group, __local acc_t *tile, ${"__local float *most_of, __local int *doubted, " if sizes else ""}
    __global const data_t *restrict input, __global data_t *restrict ring, ${"__global float *restrict largest, " if sizes else ""}
    int batch, int height, int width)
{
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const int image = (height + 1) * (width + 1);
    const long last = (long)width + 3 + (long)batch * image;
    const long first = (long)work_group * TILE_PIXELS;

    const long pixel = first + mine - (width + 3);
    const int n = (int)(pixel / image);
    const int row = (int)(pixel % image) / (width + 1);
    const int column = (int)(pixel % image) % (width + 1);
    const int inside = pixel >= 0 && n < batch && row < height && column < width;
    __global const data_t *from = input + (inside ? ((index_t)n * CHANNELS * height + row) * width + column : 0);
    const index_t plane = (index_t)height * width;
% if sizes:
    float pixel_most = 0.0f, block_least = INFINITY;
    int doubt = 0;
    if (t < TILE_PIXELS) doubted[t] = 0;
% endif

    for (int begin = 0; begin < CHANNELS; begin += BLOCK) {
        const int count = min(BLOCK, CHANNELS - begin);
        acc_t value[ITEM_CHANNELS];
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS; ++i) {
            const int c = t / TILE_PIXELS + i * ROWS;
            value[i] = inside && c < count ? load_data(from, (begin + c) * plane) : ACC(0.0);
        }
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS; ++i) tile[(t / TILE_PIXELS + i * ROWS) * ROW + mine] = value[i];
% if sizes:
        float most = 0.0f;
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS; ++i) most = fmax(most, fabs(value[i]));
        most_of[t] = most;
% endif
        barrier(CLK_LOCAL_MEM_FENCE);
% if sizes:
        #pragma unroll
        for (int i = 0; i < ROWS; ++i) most = fmax(most, most_of[i * TILE_PIXELS + mine]);
        const float least = most * as_float((127u - DOUBT_BITS) << 23);
        int small = 0;
        #pragma unroll
        for (int i = 0; i < ITEM_CHANNELS; ++i) small += value[i] != ACC(0.0) && fabs(value[i]) < least;
        doubt |= small > 1;
        pixel_most = fmax(pixel_most, most);
        if (most > 0.0f) block_least = fmin(block_least, most);
% endif
        #pragma unroll
        for (int i = t; i < TILE_PIXELS * BLOCK; i += ITEMS) {
            const int c = i % BLOCK;
            const long at = first + i / BLOCK;
            if (at < last && c < count) store_data(ring, (index_t)at * CHANNELS + begin + c, tile[c * ROW + i / BLOCK]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% if sizes:
    if (doubt || block_least < pixel_most * as_float((127u - DOUBT_BITS) << 23)) doubted[mine] = 1;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (t < TILE_PIXELS && first + t < last) {
        largest[first + t] = pixel_most;
        if (doubted[t]) store_data(ring, (index_t)(first + t) * CHANNELS, NAN);
    }
% endif
}
