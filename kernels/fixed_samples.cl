/* The way back of quads to sums in fixed point, for backward_data_matrix, as back_samples has it for floats. Needs both, and plan. */
static inline void fixed_to_corners(
    __global ulong *sums, __global uint *marks, plan_t its, uchar4 ways, int channel, float4 column, float4 channel_scales, int width)
{
    const sample_t s = planned_sample(its, 0);
% for corner in range(corners):
    {
        const index_t to = PLAN_PIXEL(its) + ${("0", "1", "width + 1", "width + 2")[corner]};
        fixed_add_quad(sums + to * IN_CHANNELS, marks + to * FIXED_MARKS, channel, its.y * corner_weight(s, ${corner}) * column, ways.s${corner}, channel_scales);
    }
% endfor
}

/* The columns of a heap, summed in a fixed order before they are added: few or many, the sum of all that reach a pixel has its bound. */
static inline void fixed_heap(
    __global ulong *sums, __global uint *marks, const float4 column[4][2], __local const plan_t *its, __local const uchar4 *ways, int channel,
    int adds, float4 channel_scales, int width)
{
    const int lane = (int)get_local_id(0) % 32;
    const int pixel = PLAN_PIXEL(its[0]);
    #pragma unroll 1
    for (int corner = 0; corner < CORNERS; ++corner) {
        float4 given = (float4)(0.0f);
        #pragma unroll
        for (int i = 0; i < 8; ++i) {
            const plan_t at = its[PAIR(i / 2) + i % 2];
            if (PAIR(i / 2) + i % 2 < adds) given += at.y * corner_weight(planned_sample(at, 0), corner) * column[i / 2][i % 2];
        }
        given = over_pixels(given);
        const index_t to = pixel + corner % 2 + corner / 2 * (width + 1);
        if (lane < 8 && adds > 0 && pixel != RING_OUTSIDE)
            fixed_add_quad(sums + to * IN_CHANNELS, marks + to * FIXED_MARKS, channel, given, as_uint(ways[0]) >> 8 * corner & 255u, channel_scales);
    }
}
