/* The products of a block by NVIDIA's mma: total += grads x samples, of one warp's outputs and columns, from local memory.
 *
 *     grads [part][output][octet of pixels, see OCTET_AT]; samples [part][pixel][octet of columns, see COLUMN_AT]
 *
 * Some pixels are summed from zero and then added, times unscale, by an ordinary multiply-add, for the unit truncates where it adds. */
#define STEPS (BLOCK / 16)
#define COLUMN_AT(pixel, octet) ((octet) ^ ((pixel) % 8))

/* load_matrices, transposed. */
static inline void load_transposed(uint *to, __local const uint4 *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(row) : "memory");
}

/* The warp's fragments of the gradient of the output at `step`, and where one of them is. */
#define AT_ONCE (2 / PARTS) /* steps that are summed before they are added to the total */
#define FRAGMENT(part, step, r) ((((part) * AT_ONCE + (step)) * ROW_FRAGMENTS + (r)) * 4)
static inline void load_grads(__local const uint4 *grads, int first, uint *a)
{
    const int lane = MY_ITEM % 32;
    const int out = warp_out(MY_ITEM) + lane % 16;
    #pragma unroll
    for (int part = 0; part < PARTS; ++part)
        #pragma unroll
        for (int step = 0; step < AT_ONCE; ++step)
            #pragma unroll
            for (int r = 0; r < ROW_FRAGMENTS; ++r)
                load_matrices(a + FRAGMENT(part, step, r),
                              grads + (part * TILE_OUT + out + r * 16) * (BLOCK / 8) + OCTET_AT(out, 2 * (first + step) + lane / 16));
}

/* Two column fragments, from `column` of the warp's on. */
static inline void multiply_columns(__local const uint4 *samples, const uint *a, int first, int column, float unscale, float *total)
{
    const int lane = MY_ITEM % 32;
    const int octet = warp_column(MY_ITEM) / 8 + column / 8 + lane / 16;
    uint b[PARTS][AT_ONCE][4];
    #pragma unroll
    for (int part = 0; part < PARTS; ++part)
        #pragma unroll
        for (int step = 0; step < AT_ONCE; ++step)
            load_transposed(b[part][step],
                            samples + (part * BLOCK + (first + step) * 16 + lane % 16) * (COLUMNS / 8) + COLUMN_AT(lane, octet));
    float sum[2 * ROW_FRAGMENTS][4];
    #pragma unroll
    for (int s = 0; s < 2 * ROW_FRAGMENTS; ++s) sum[s][0] = sum[s][1] = sum[s][2] = sum[s][3] = 0.0f;
    #pragma unroll
    for (int step = 0; step < AT_ONCE; ++step) {
% for of_a, of_b in ((0, 0), (1, 0), (0, 1)) if parts == 2 else ((0, 0),):
        #pragma unroll
        for (int s = 0; s < 2 * ROW_FRAGMENTS; ++s)
            multiply(sum[s], a + FRAGMENT(${of_a}, step, s % ROW_FRAGMENTS), b[${of_b}][step][s / ROW_FRAGMENTS * 2], b[${of_b}][step][s / ROW_FRAGMENTS * 2 + 1]);
% endfor
    }
    #pragma unroll
    for (int s = 0; s < 2 * ROW_FRAGMENTS; ++s)
        #pragma unroll
        for (int i = 0; i < 4; ++i) total[4 * s + i] = fma(sum[s][i], unscale, total[4 * s + i]);
}

/* All of a warp's products of a block. */
static inline void multiply_block(__local const uint4 *grads, __local const uint4 *samples, float unscale, float *total)
{
    #pragma unroll
    for (int step = 0; step < STEPS; step += AT_ONCE) {
        uint a[PARTS * AT_ONCE * ROW_FRAGMENTS * 4];
        load_grads(grads, step, a);
        #pragma unroll
        for (int column = 0; column < WARP_COLUMNS; column += 16)
            multiply_columns(samples, a, step, column, unscale, total + column / 8 * ROW_FRAGMENTS * 4);
    }
}
