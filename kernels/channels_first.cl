/* channels_first: a channels-last image in acc_t back in the caller's order and type; the inverse of channels_last.
 *
 *     image[n][c][q] = last[n][q][c]        last [N][H * W + 1][C] (the last pixel is dropped), image [N][C][H * W]
 *
 * Work-item n * (H * W / BLOCK + 1) + i: pixels [i * BLOCK, (i + 1) * BLOCK) of image n. */
<%include file="types.cl"/>
#define CHANNELS ${channels}
#define BLOCK ${block}

__kernel void channels_first(__global const acc_t *last, __global data_t *image, int batch, int pixels)
{
    const int blocks = pixels / BLOCK + 1;
    const int n = (int)(get_global_id(0) / blocks);
    if (n >= batch) return;
    const int first = (int)(get_global_id(0) % blocks) * BLOCK;
    const int end = min(first + BLOCK, pixels);
    __global const acc_t *from = last + (index_t)n * CHANNELS * (pixels + 1);
    __global data_t *to = image + (index_t)n * CHANNELS * pixels;
    for (int c = 0; c < CHANNELS; ++c)
        for (int q = first; q < end; ++q) store_data(to, (index_t)c * pixels + q, from[(index_t)q * CHANNELS + c]);
}
