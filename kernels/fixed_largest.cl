/* fixed_largest: the exponent of the largest |grad_output| of each pixel, for sums in fixed point (see fixed_reach).
 *
 *     largest[n][p] = 127 + exponent of max over outputs o: |grad_output[n][o][p]|, at least 1; 0 where all are 0. What isn't finite counts as 0.
 *
 * grad_output [N][O][P]. Work-group i: pixels [i * TILE_PIXELS, ..) of the batch. Work-item t: pixel t % TILE_PIXELS, every PARTS-th of the
 * outputs. Local memory: sizes [PARTS][TILE_PIXELS]. */
<%include file="types.cl"/>
#define OUT_CHANNELS ${out_channels}
#define TILE_PIXELS ${tile_pixels}
#define PARTS ${parts}

__kernel __attribute__((reqd_work_group_size(TILE_PIXELS * PARTS, 1, 1)))
void fixed_largest(__global const data_t *restrict grad_output, __global uchar *restrict largest, int batch, int pixels)
{
    __local float sizes[PARTS * TILE_PIXELS];
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const long end = (long)batch * pixels;
    const long own = (long)get_group_id(0) * TILE_PIXELS + mine;
    const long at = min(own, end - 1);
    __global const data_t *from = grad_output + (index_t)(at / pixels) * OUT_CHANNELS * pixels + (index_t)(at % pixels);
    float size = 0.0f;
    #pragma unroll 8
    for (int o = t / TILE_PIXELS; o < OUT_CHANNELS; o += PARTS) {
        const float here = fabs(load_data(from, (index_t)o * pixels));
        size = fmax(size, here <= FLT_MAX ? here : 0.0f);
    }
    sizes[t] = size;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < TILE_PIXELS && own < end) {
        for (int i = 1; i < PARTS; ++i) size = fmax(size, sizes[i * TILE_PIXELS + mine]);
        largest[own] = size == 0.0f ? (uchar)0 : (uchar)max((int)(as_uint(size) >> 23), 1);
    }
}
