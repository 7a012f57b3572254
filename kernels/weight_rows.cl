## Samples of backward_weight_wgmma that a forward left, see kept_samples. Needs weight_samples, weight_scales.
/* Begin to fetch pixels 2 * pair and the next of a set, of which `first` are the samples of the batch's first pixel; pixels beyond the last
 * are the last. */
static inline void fetch(__global const uint4 *first, int set, int pair, index_t block, index_t end, uint4 *raw)
{
    #pragma unroll
    for (int i = 2 * pair; i < 2 * pair + 2; ++i) raw[i] = load_now(first + min(block * BLOCK + set_pixel(set) + i, end - 1) * 8);
}

/* VEC channels of a pixel. */
static inline void of_row(uint4 row, float by, float *v)
{
% for i in range(4):
% if dtype == "float32":
    v[${i}] = as_float(row.s${i}) * by;
% else:
    const float2 pair_${i} = of_two_halves(row.s${i}) * by;
    v[${2 * i}] = pair_${i}.x;
    v[${2 * i + 1}] = pair_${i}.y;
% endif
% endfor
}

/* What was fetched of a pair of pixels as halves, by their factors. */
static inline void sample(const uint4 *raw, float2 by, int pair, uint *halves)
{
    float v[2][VEC];
    of_row(raw[2 * pair], by.x, v[0]);
    of_row(raw[2 * pair + 1], by.y, v[1]);
    pair_in_halves(v, pair, halves);
}
