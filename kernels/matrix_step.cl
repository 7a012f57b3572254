## A step's products by mma.sync, for forward_matrix. Needs matrix, matrix_nvidia.
/* total += the products of a step, each 8 columns' summed from zero, unscaled by what the lane's two rows were scaled by. */
static inline void add_products(float *total, const uint *a, __local const uint4 *stage, float unscaled_0, float unscaled_1)
{
    const int lane = (int)get_local_id(0) % 32;
    #pragma unroll
    for (int j = 0; j < TILE_OUT / 8; ++j) {
        float part[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        #pragma unroll
% if parts == 2:
        for (int step = 0; step < STEPS; ++step) {
            const uint4 w = stage[(step * (TILE_OUT / 8) + j) * 32 + lane];
            multiply(part, a + step * 4, w.s0, w.s1);
            multiply(part, a + (STEPS + step) * 4, w.s0, w.s1);
            multiply(part, a + step * 4, w.s2, w.s3);
        }
% else:
        for (int step = 0; step < STEPS; step += 2) {
            const uint4 w = stage[(step / 2 * (TILE_OUT / 8) + j) * 32 + lane];
            multiply(part, a + step * 4, w.s0, w.s1);
            multiply(part, a + (step + 1) * 4, w.s2, w.s3);
        }
% endif
        #pragma unroll
        for (int i = 0; i < 4; ++i) total[4 * j + i] = fma(part[i], i < 2 ? unscaled_0 : unscaled_1, total[4 * j + i]);
    }
}
