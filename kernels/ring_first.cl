/* ring_first: an image back from its ring, in the caller's order and type; the inverse of ring_last.
 *
 *     image[n][c][row][column] = ring[pixel of (n, row, column)][c]        ring of acc_t, image [N][C][H][W]
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch times channels [j * TILE_CHANNELS, ..). Work-item t reads channel
 * t % TILE_CHANNELS of pixels t / TILE_CHANNELS + .., and writes pixel t % TILE_PIXELS of channels t / TILE_PIXELS + ..: neighbours read
 * neighbouring channels, and write neighbouring pixels.
 *
 * Local memory: places [TILE_PIXELS], the pixels' in the ring; tile [TILE_PIXELS][TILE_CHANNELS + 1]: the odd length spreads columns over
 * the banks. */
<%include file="types.cl"/>
<%include file="ring.cl"/>
#define CHANNELS ${channels}
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_first(__global const acc_t *restrict ring, __global data_t *restrict image, int batch, int height, int width)
{
    __local int places[TILE_PIXELS];
    __local acc_t tile[TILE_PIXELS * (TILE_CHANNELS + 1)];
    const int t = (int)get_local_id(0);
    const long pixels = (long)height * width;
    const long end = batch * pixels;
    const int first_channel = (int)get_group_id(1) * TILE_CHANNELS;
    const long own = (long)get_group_id(0) * TILE_PIXELS + t % TILE_PIXELS;
    const long at = min(own, end - 1);
    const int n = (int)(at / pixels);
    const int in_image = (int)(at % pixels);
    if (t < TILE_PIXELS) places[t] = ring_pixel(n, in_image / width, in_image % width, height, width);
    barrier(CLK_LOCAL_MEM_FENCE);
    #pragma unroll
    for (int i = t; i < TILE_PIXELS * TILE_CHANNELS; i += ITEMS) {
        const int c = min(first_channel + i % TILE_CHANNELS, CHANNELS - 1);
        tile[i / TILE_CHANNELS * (TILE_CHANNELS + 1) + i % TILE_CHANNELS] = ring[(index_t)places[i / TILE_CHANNELS] * CHANNELS + c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    __global data_t *to = image + ((index_t)n * CHANNELS + first_channel) * (index_t)pixels + in_image;
    #pragma unroll
    for (int i = t / TILE_PIXELS; i < TILE_CHANNELS; i += ITEMS / TILE_PIXELS)
        if (own < end && first_channel + i < CHANNELS) store_data(to, (index_t)i * (index_t)pixels, tile[t % TILE_PIXELS * (TILE_CHANNELS + 1) + i]);
}
