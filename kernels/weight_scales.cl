## By which factors samples that a forward left become halves, and how large those of a block may be: by the scales that brought those of a
## pixel and chunk below 2**15. Made in two steps, as by weight_plans, without a branch. Needs scale, weight_tile, begin, and the names of backward_weight_wgmma.
#define SCALED (UNITS * BLOCK)
#define SCALES_AT_ONCE ((SCALED + ITEMS - 1) / ITEMS)
typedef struct { uint scale[SCALES_AT_ONCE]; } operands_t;
typedef struct { float largest[SCALES_AT_ONCE]; } sizes_t;

/* Scale i of a work-item's; pixels beyond the last have the last's. */
static inline void read_scales(__global const float *restrict kept_scales, int group, int first_unit, index_t block, index_t end, operands_t *operands)
{
    #pragma unroll
    for (int i = 0; i < SCALES_AT_ONCE; ++i) {
        const int at = (MY_ITEM + i * ITEMS) % SCALED;
        const int chunk = min(first_unit + at / BLOCK, CHUNKS * TAPS - 1) / TAPS;
        operands->scale[i] = begin_largest(kept_scales + (group * CHUNKS + chunk) * end + min(block * BLOCK + at % BLOCK, end - 1));
    }
}

/* factors [UNITS][BLOCK]. The largest scale is that of zeros, and of numbers below all that a block's scale tells apart. */
static inline void make_factors(const operands_t *operands, __local const int4 *places, __local float4 *factors, sizes_t *sizes)
{
    __local float *to = (__local float *)factors;
    #pragma unroll
    for (int i = 0; i < SCALES_AT_ONCE; ++i) {
        const int4 where = places[MY_ITEM % BLOCK];
        const float factor = where.x < 0 ? 0.0f : as_float(where.w), scale = begun_largest(operands->scale[i]);
        const int holds = factor <= LARGEST_FACTOR && scale >= 0x1p15f / LARGEST_SAMPLE && scale <= 0x1p126f;
        const float largest = scale < 0x1p126f ? 0x1p15f * inverse(scale) : 0.0f;
        to[(MY_ITEM + i * ITEMS) % SCALED] = ${"factor" if dtype == "float32" else "factor * inverse(scale)"};
        sizes->largest[i] = holds ? factor * largest : INFINITY;
    }
}

/* The largest of a block. */
static inline void store_most(const sizes_t *sizes, __local uint *most)
{
    float size = 0.0f;
    #pragma unroll
    for (int i = 0; i < SCALES_AT_ONCE; ++i) size = fmax(size, sizes->largest[i]);
    const uint bits = largest_of_warp(as_uint(size));
    if (MY_ITEM % 32 == 0) atomic_max(most, bits);
}
