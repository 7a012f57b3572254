/* fixed_first: sums in fixed point (see fixed) from their ring, in the caller's order and type, as ring_first does for numbers.
 *
 *     image[n][c][row][column] = sums[pixel of (n, row, column)][c] / pixel_scale / channel_scale
 *
 * sums [..][C], marks [..][(C + 15) / 16], ways [OG][..] as pixels of the ring; channel_scales [C]; image [N][C][H][W].
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch times channels [j * TILE_CHANNELS, ..). Work-item t reads channel
 * t % TILE_CHANNELS of pixels t / TILE_CHANNELS + .., and writes pixel t % TILE_PIXELS of channels t / TILE_PIXELS + ..
 *
 * Local memory: places [TILE_PIXELS], the pixels' in the ring; tile [TILE_PIXELS][TILE_CHANNELS + 1]: the odd length spreads columns over the banks. */
<%include file="types.cl"/>
<%include file="ring.cl"/>
#define IN_CHANNELS ${channels}
#define SAMPLE_CHANNELS ${sample_channels}
<%include file="fixed.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_CHANNELS ${tile_channels}
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void fixed_first(
    __global const ulong *restrict sums, __global const uint *restrict marks, __global const uchar *restrict ways,
    __global const float *restrict channel_scales, __global data_t *restrict image, int batch, int height, int width)
{
    __local int places[TILE_PIXELS];
    __local float tile[TILE_PIXELS * (TILE_CHANNELS + 1)];
    const int t = (int)get_local_id(0);
    const index_t pixels = (index_t)height * width;
    const index_t end = batch * pixels;
    const index_t ring = (index_t)width + 3 + (index_t)batch * (height + 1) * (width + 1);
    const int first_channel = (int)get_group_id(1) * TILE_CHANNELS;
    const index_t own = (index_t)get_group_id(0) * TILE_PIXELS + t % TILE_PIXELS;
    const index_t at = min(own, end - 1);
    const int n = (int)(at / pixels);
    const int in_image = (int)(at % pixels);
    if (t < TILE_PIXELS) places[t] = ring_pixel(n, in_image / width, in_image % width, height, width);
    barrier(CLK_LOCAL_MEM_FENCE);
    #pragma unroll
    for (int i = t; i < TILE_PIXELS * TILE_CHANNELS; i += ITEMS) {
        const index_t pixel = places[i / TILE_CHANNELS];
        const int c = min(first_channel + i % TILE_CHANNELS, IN_CHANNELS - 1);
        tile[i / TILE_CHANNELS * (TILE_CHANNELS + 1) + i % TILE_CHANNELS] =
            fixed_value(sums + pixel * IN_CHANNELS, marks + pixel * FIXED_MARKS, c, ways[c / SAMPLE_CHANNELS * ring + pixel], channel_scales[c]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (own >= end) return;
    __global data_t *to = image + ((index_t)n * IN_CHANNELS + first_channel) * pixels + in_image;
    #pragma unroll
    for (int i = t / TILE_PIXELS; i < TILE_CHANNELS; i += ITEMS / TILE_PIXELS)
        if (IN_CHANNELS % TILE_CHANNELS == 0 || first_channel + i < IN_CHANNELS) store_data(to, i * pixels, tile[t % TILE_PIXELS * (TILE_CHANNELS + 1) + i]);
}
