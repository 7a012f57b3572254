## The products of a block by backward_weight_sampled: total += samples x grads times unscale, both from local memory; samples
## [UNITS][STEPS] see kept_samples, through registers, grads [part][output][octet of pixels, see OCTET_AT]. Needs weight_tile, grad_octets,
## matrix_nvidia, kept_samples, weight_common.
static inline uint times(uint halves, uint ratios)
{
    uint product;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(halves), "r"(ratios));
    return product;
}

/* Fragment f of a warp at a step, all parts' factors: samples times the ratios of their pixels. */
static inline void make_factor(const uint *ratios, int step, int f, uint a[PARTS][4], __local const kept_t *samples)
{
    const int lane = MY_ITEM % 32;
    const int fragment = warp_fragment(MY_ITEM) + f;
    __local const kept_t *from = samples + (fragment / (UNIT / 16) * STEPS + step) * KEPT_SIXTEEN + KEPT_LANE(lane / 4, lane % 4);
    #pragma unroll
    for (int r = 0; r < 2; ++r) {
        const kept_t both = from[KEPT_AT(fragment % (UNIT / 16), r)];
% for part in range(parts):
        a[${part}][2 * r] = times(both.${"xz"[part]}, ratios[2 * step + r]);
        a[${part}][2 * r + 1] = times(both.${"yw"[part]}, ratios[2 * step + r]);
% endfor
    }
}

% if unit == "wgmma":
<%include file="described_rows.cl"/>
/* All factors of a fragment. */
static inline void make_factors(const uint *ratios, int f, uint a[STEPS][PARTS][4], __local const kept_t *samples)
{
    #pragma unroll
    for (int step = 0; step < STEPS; ++step) make_factor(ratios, step, f, a[step], samples);
}

/* Begin the products of a fragment and the outputs of one instruction. */
static inline void begin_products_of(uint a[STEPS][PARTS][4], __local const uint4 *grads, float *sum)
{
    const ulong b = described_rows(grads, ${1 if block == 64 else 2});
    begin_products();
    #pragma unroll
    for (int step = 0; step < STEPS; ++step) {
% for of_a, of_b in ((0, 0), (0, 1), (1, 0)) if parts == 2 else ((0, 0),):
        multiply(sum, a[step][${of_a}], b + ${of_b} * (TILE_OUT * BLOCK / 8) + 2 * step, ${"step > 0" if of_a == of_b == 0 else "1"});
% endfor
    }
    close_products();
}
% else:
/* Two octets of outputs' gradients at a step. */
static inline void load_grads(__local const uint4 *grads, int part, int octet, int step, uint *b)
{
    const int lane = MY_ITEM % 32;
    const int out = warp_out(MY_ITEM) + octet * 8 + lane / 16 * 8 + lane % 8;
    __local const uint4 *row = grads + (part * TILE_OUT + out) * (BLOCK / 8) + OCTET_AT(out, 2 * step + lane / 8 % 2);
    load_matrices(b, row);
}

/* All of a warp's products of a block. The unit truncates where it adds: some pixels are summed from zero, and then added by an ordinary
 * multiply-add. */
#define AT_ONCE (2 / PARTS)
static inline void multiply_block(__local const kept_t *samples, const uint *ratios, __local const uint4 *grads, float unscale, float *total)
{
    #pragma unroll
    for (int first = 0; first < STEPS; first += AT_ONCE) {
        uint a[AT_ONCE][ROW_FRAGMENTS][PARTS][4];
        #pragma unroll
        for (int step = 0; step < AT_ONCE; ++step)
            #pragma unroll
            for (int f = 0; f < ROW_FRAGMENTS; ++f) make_factor(ratios, first + step, f, a[step][f], samples);
        #pragma unroll
        for (int octet = 0; octet < WARP_OUT / 8; octet += 2) {
            uint b[AT_ONCE][PARTS][4];
            #pragma unroll
            for (int step = 0; step < AT_ONCE; ++step)
                #pragma unroll
                for (int part = 0; part < PARTS; ++part) load_grads(grads, part, octet, first + step, b[step][part]);
            float sum[ROW_FRAGMENTS][2][4];
            #pragma unroll
            for (int f = 0; f < ROW_FRAGMENTS; ++f)
                #pragma unroll
                for (int i = 0; i < 8; ++i) sum[f][i / 4][i % 4] = 0.0f;
            #pragma unroll
            for (int step = 0; step < AT_ONCE; ++step) {
% for of_a, of_b in ((0, 0), (0, 1), (1, 0)) if parts == 2 else ((0, 0),):
                #pragma unroll
                for (int s = 0; s < 2 * ROW_FRAGMENTS; ++s)
                    multiply(sum[s / 2][s % 2], a[step][s / 2][${of_a}], b[step][${of_b}][s % 2 * 2], b[step][${of_b}][s % 2 * 2 + 1]);
% endfor
            }
            #pragma unroll
            for (int f = 0; f < ROW_FRAGMENTS; ++f)
                #pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const int at = (f * (WARP_OUT / 8) + octet) * 4 + i;
                    total[at] = fma(sum[f][i / 4][i % 4], unscale, total[at]);
                }
        }
    }
}
% endif
