/* How the work-items that bring a block's samples share them out for mma: in passes, item t has VEC channels of one pixel of a unit in each.
 * Needs weight_tile, weight_products, sample_halves. */
#define PASSES (BLOCK * UNITS / (ITEMS / 8))

/* Of a pass: its unit, and this lane's pixel of the block; a quarter of a warp stores 64 or 128 bytes of a row, and rows 4 apart lie in
 * different banks. */
#define PASS_UNIT(pass) (((pass) * WARPS * 4) / BLOCK)
static inline int pass_pixel(int pass)
{
    const int t = MY_ITEM;
    const int quad = (pass * WARPS + t / 32) % (BLOCK / 4);
    return quad / 2 * 8 + quad % 2 * 2 + t % 32 / 16 + t % 16 / 8 * 4;
}

/* What a lane has of a pass as halves in local memory. */
static inline void store_halves(const float *v, int pass, __local uint4 *samples)
{
    const int lane = MY_ITEM % 8;
    const int pixel = pass_pixel(pass);
    uint halves[PARTS * VEC / 2];
    as_halves(v, halves);
% for part in range(parts):
% if vec == 4:
    {
        __local uint2 *to = (__local uint2 *)(samples + ${part} * BLOCK * (COLUMNS / 8) + pixel * (COLUMNS / 8));
        to[COLUMN_AT(pixel, PASS_UNIT(pass) * 4 + lane / 2) * 2 + lane % 2] = (uint2)(halves[${2 * part}], halves[${2 * part + 1}]);
    }
% else:
    samples[(${part} * BLOCK + pixel) * (COLUMNS / 8) + COLUMN_AT(pixel, PASS_UNIT(pass) * 8 + lane)] =
        (uint4)(${", ".join("halves[%d]" % (4 * part + n) for n in range(4))});
% endif
% endfor
}
