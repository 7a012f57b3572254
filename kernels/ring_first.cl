/* ring_first: an image back from its ring, in the caller's order and type; the inverse of ring_last.
 *
 *     image[n][c][row][column] = ring[c / BLOCK][pixel of (n, row, column)][c % BLOCK]        ring of acc_t, image [N][C][H][W]
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch times channels [j * TILE_CHANNELS, ..). A run of channels lies together:
 * neighbours read VEC of them each, pixel after pixel, and write neighbouring pixels of one channel after another.
 *
 * Local memory: places [TILE_PIXELS], the pixels' in the ring; tile [TILE_PIXELS][TILE_CHANNELS + 1]: the odd length spreads columns over
 * the banks. */
<%include file="types.cl"/>
<%include file="ring.cl"/>
#define CHANNELS ${channels}
#define BLOCK ${block}
#define RUN ${run} /* channels of a tile that lie together */
#define VEC ${vec}
#define acc_vec_t ${"double" if accumulator == "float64" else "float"}${vec if vec > 1 else ""}
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_first(__global const acc_t *restrict ring, __global data_t *restrict image, int batch, int height, int width)
{
    __local int places[TILE_PIXELS];
    __local acc_t tile[TILE_PIXELS * (TILE_CHANNELS + 1)];
    const int t = (int)get_local_id(0);
    const index_t pixels = (index_t)height * width;
    const index_t ring_pixels = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
    const index_t end = batch * pixels;
    const int first_channel = (int)get_group_id(1) * TILE_CHANNELS;
    const index_t own = (index_t)get_group_id(0) * TILE_PIXELS + t % TILE_PIXELS;
    const index_t at = min(own, end - 1);
    const int n = (int)(at / pixels);
    const int in_image = (int)(at % pixels);
    if (t < TILE_PIXELS) places[t] = ring_pixel(n, in_image / width, in_image % width, height, width);
    barrier(CLK_LOCAL_MEM_FENCE);
    #pragma unroll
    for (int i = t; i < TILE_PIXELS * TILE_CHANNELS / VEC; i += ITEMS) {
        const int mine = i / (RUN / VEC) % TILE_PIXELS, in_tile = i / (RUN / VEC * TILE_PIXELS) * RUN + i % (RUN / VEC) * VEC;
        const int c = min(first_channel + in_tile, CHANNELS - VEC);
        const acc_vec_t value = *(__global const acc_vec_t *)(ring + (c / BLOCK * ring_pixels + places[mine]) * BLOCK + c % BLOCK);
        __local acc_t *to = tile + mine * (TILE_CHANNELS + 1) + in_tile;
% for part in range(vec):
        to[${part}] = value${".s%d" % part if vec > 1 else ""};
% endfor
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (own >= end) return;
    __global data_t *to = image + ((index_t)n * CHANNELS + first_channel) * pixels + in_image;
    #pragma unroll
    for (int i = t / TILE_PIXELS; i < TILE_CHANNELS; i += ITEMS / TILE_PIXELS)
        if (CHANNELS % TILE_CHANNELS == 0 || first_channel + i < CHANNELS) store_data(to, i * pixels, tile[t % TILE_PIXELS * (TILE_CHANNELS + 1) + i]);
}
