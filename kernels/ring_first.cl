/* ring_first: an image back from its ring, in the caller's order and type; the inverse of ring_last.
 *
 *     image[n][c][row][column] = ring[pixel of (n, row, column)][c]        ring of acc_t, image [N][C][H][W]
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch times channels [j * TILE_CHANNELS, ..). Work-item t reads channel
 * t % TILE_CHANNELS of pixels t / TILE_CHANNELS + .., and writes pixel t % TILE_PIXELS of channels t / TILE_PIXELS + ..: neighbours read
 * neighbouring channels, and write neighbouring pixels.
 *
 * Local memory: tile [TILE_PIXELS][TILE_CHANNELS + 1]: the odd length spreads columns over the banks. */
<%include file="types.cl"/>
<%include file="ring.cl"/>
#define CHANNELS ${channels}
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_first(__global const acc_t *restrict ring, __global data_t *restrict image, int batch, int height, int width)
{
    __local acc_t tile[TILE_PIXELS * (TILE_CHANNELS + 1)];
    const int t = (int)get_local_id(0);
    const long pixels = (long)height * width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const long end = batch * pixels;
    const int first_channel = (int)get_group_id(1) * TILE_CHANNELS;
    for (int i = t; i < TILE_PIXELS * TILE_CHANNELS; i += ITEMS) {
        const long at = min(first + i / TILE_CHANNELS, end - 1);
        const int in_image = (int)(at % pixels);
        const int pixel = ring_pixel((int)(at / pixels), in_image / width, in_image % width, height, width);
        const int c = min(first_channel + i % TILE_CHANNELS, CHANNELS - 1);
        tile[i / TILE_CHANNELS * (TILE_CHANNELS + 1) + i % TILE_CHANNELS] = ring[(index_t)pixel * CHANNELS + c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t; i < TILE_PIXELS * TILE_CHANNELS; i += ITEMS) {
        const long at = first + i % TILE_PIXELS;
        const int c = first_channel + i / TILE_PIXELS;
        if (at < end && c < CHANNELS)
            store_data(image, (index_t)((at / pixels * CHANNELS + c) * pixels + at % pixels),
                       tile[i % TILE_PIXELS * (TILE_CHANNELS + 1) + i / TILE_PIXELS]);
    }
}
