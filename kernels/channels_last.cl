/* channels_last: the input with its channels innermost, in acc_t, behind each image one pixel of zeros.
 *
 *     last[n][q][c] = input[n][c][q]   for pixels q < H * W;   last[n][H * W][c] = 0, where samples outside the image point
 *
 * input [N][C][H * W], last [N][H * W + 1][C]. Work-item n * (H * W / BLOCK + 1) + i: pixels [i * BLOCK, (i + 1) * BLOCK) of image n. */
<%include file="types.cl"/>
#define CHANNELS ${channels}
#define BLOCK ${block}

__kernel void channels_last(__global const data_t *input, __global acc_t *last, int batch, int pixels)
{
    const int blocks = pixels / BLOCK + 1;
    const int n = (int)(get_global_id(0) / blocks);
    if (n >= batch) return;
    const int first = (int)(get_global_id(0) % blocks) * BLOCK;
    const int end = min(first + BLOCK, pixels);
    __global const data_t *from = input + (index_t)n * CHANNELS * pixels;
    __global acc_t *to = last + (index_t)n * CHANNELS * (pixels + 1);
    for (int c = 0; c < CHANNELS; ++c)
        for (int q = first; q < end; ++q) to[(index_t)q * CHANNELS + c] = load_data(from, (index_t)c * pixels + q);
    if (first <= pixels && pixels < first + BLOCK)
        for (int c = 0; c < CHANNELS; ++c) to[(index_t)pixels * CHANNELS + c] = ACC(0.0);
}
