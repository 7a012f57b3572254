## Samples of backward_weight_wgmma: what is fetched of them, and halves in local memory as wgmma reads them,
## pixels innermost. Needs plan, matrix_nvidia, weight_tile and the names of backward_weight_wgmma.
<%include file="sample_halves.cl"/>
/* Of 4 neighbouring pixels a work-item samples VEC channels; 32 of them 16 pixels' unit of channels. A warp's place in set `set` of these:
 * its unit in the tile, and its lane's first pixel of the block. */
static inline int set_unit(int set) { return (set * SAMPLE_WARPS + MY_ITEM / 32) / (BLOCK / 16); }
static inline int set_pixel(int set) { return (set * SAMPLE_WARPS + MY_ITEM / 32) % (BLOCK / 16) * 16 + MY_ITEM % 32 / 8 * 4; }

/* Two pixels' samples: halves[part][channel][pair]. */
static inline void pair_in_halves(float v[2][VEC], int pair, uint *halves)
{
    #pragma unroll
    for (int c = 0; c < VEC; ++c) two_in_halves(v[0][c], v[1][c], halves + 2 * c + pair, halves + 2 * ${"(VEC + c)" if parts == 2 else "c"} + pair);
}

/* A set's halves to local memory. */
static inline void store_samples(const uint *halves, int set, __local uint4 *samples)
{
    const int pixel = set_pixel(set);
    __local uint2 *to = (__local uint2 *)(samples + set_unit(set) * (VEC * BLOCK) + pixel / 8 * 8 + MY_ITEM % 8) + pixel % 8 / 4;
    #pragma unroll
    for (int part = 0; part < PARTS; ++part)
        #pragma unroll
        for (int c = 0; c < VEC; ++c)
            to[(part * (COLUMNS * BLOCK / 8) + c * BLOCK) * 2] = (uint2)(halves[2 * (part * VEC + c)], halves[2 * (part * VEC + c) + 1]);
}

<%include file="weight_corners.cl"/>
