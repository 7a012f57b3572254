/* The way back of columns to sums in fixed point, for backward_data_matrix; see float_samples for its sibling. Needs back_samples, atomic. */
<%include file="fixed.cl"/>
<%include file="fixed_add.cl"/>
<%include file="fixed_corners.cl"/>
typedef struct {
    __global ulong *sums;
    __global uint *marks;
    __local const uchar4 *ways; /* of the corners of the warp's pixels */
    float4 scales;              /* of the lane's channels, from `channel` on */
    int channel;
} target_t;

/* A quad of the warp's pixel `in_warp`, to the corners of its sample. */
static inline void add_to_corners(target_t at, plan_t its, int in_warp, float4 column, int width)
{
    fixed_add_corners(at.sums, at.marks, at.channel, its, at.ways[in_warp], column, at.scales, width);
}

/* The columns of a heap, summed in a fixed order before they are added: few or many, the sum of all that reach a pixel has its bound. */
static inline void add_heap(target_t at, const float4 column[PIXEL_ROWS][2], __local const plan_t *its, int adds, int width)
{
    const int lane = (int)get_local_id(0) % 32;
    const int pixel = PLAN_PIXEL(its[0]);
    #pragma unroll 1
    for (int corner = 0; corner < CORNERS; ++corner) {
        float4 given = (float4)(0.0f);
        #pragma unroll
        for (int i = 0; i < 2 * PIXEL_ROWS; ++i) {
            const plan_t p = its[PAIR(i / 2) + i % 2];
            if (PAIR(i / 2) + i % 2 < adds) given += p.y * corner_weight(planned_sample(p, 0), corner) * column[i / 2][i % 2];
        }
        given = over_pixels(given);
        const index_t to = pixel + corner % 2 + corner / 2 * (width + 1);
        if (lane < 8 && adds > 0 && pixel != RING_OUTSIDE)
            fixed_add_quad(at.sums + to * IN_CHANNELS, at.marks + to * FIXED_MARKS, at.channel, given, as_uint(at.ways[0]) >> 8 * corner & 255u, at.scales);
    }
}
