/* sums += the products of a chunk of outputs, from output `out` on, for a warp's 32 pixels and 32 channels; `stage` is the lane's part of the
 * weights. Needs matrix_back, matrix_nvidia, grad_halves. */
static inline void add_products(float sum[2][4][4], __local const ushort *halves, __local const uint4 *stage, int out, int warp_pixel)
{
    #pragma unroll
    for (int s = 0; s < STEPS; s += STEPS_AT_ONCE) {
        uint a[2][2][4]; /* of both parts, or of two steps */
        #pragma unroll
        for (int i = 0; i < 4; ++i)
% if parts == 2:
            load_grad_fragment(a[i / 2][i % 2], halves + i / 2 * GRAD_PART, out + s * 16, warp_pixel + i % 2 * 16);
% else:
            load_grad_fragment(a[i / 2][i % 2], halves, out + (s + i / 2) * 16, warp_pixel + i % 2 * 16);
% endif
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const uint4 w = stage[(s / STEPS_AT_ONCE * 4 + j) * 32];
            #pragma unroll
            for (int m = 0; m < 2; ++m) {
                multiply(sum[m][j], a[0][m], w.s0, w.s1);
% if parts == 2:
                multiply(sum[m][j], a[1][m], w.s0, w.s1);
                multiply(sum[m][j], a[0][m], w.s2, w.s3);
% else:
                multiply(sum[m][j], a[1][m], w.s2, w.s3);
% endif
            }
        }
    }
}
