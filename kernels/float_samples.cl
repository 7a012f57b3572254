/* The way back of columns into a ring of floats, for backward_data_matrix; see fixed_samples for its sibling. Needs back_samples, atomic. */
typedef struct {
    __global float *ring; /* at the lane's channel of pixel 0 */
} target_t;

/* A quad of the warp's pixel `in_warp`, to the corners of its sample. */
static inline void add_to_corners(target_t to, plan_t its, int in_warp, float4 column, int width)
{
    const sample_t s = planned_sample(its, 0);
    __global float *corner = to.ring + (index_t)PLAN_PIXEL(its) * IN_CHANNELS;
    (void)in_warp;
    atomic_add_quad(corner, its.y * corner_weight(s, 0) * column);
% if offset_groups:
    const index_t below = (index_t)(width + 1) * IN_CHANNELS;
    atomic_add_quad(corner + IN_CHANNELS, its.y * corner_weight(s, 1) * column);
    atomic_add_quad(corner + below, its.y * corner_weight(s, 2) * column);
    atomic_add_quad(corner + below + IN_CHANNELS, its.y * corner_weight(s, 3) * column);
% endif
}

/* The columns of such a heap, summed over the warp's pixels before they are added: else all would wait for each other in one place. */
static inline void add_heap(target_t to, const float4 column[PIXEL_ROWS][2], __local const plan_t *its, int adds, int width)
{
    const int lane = (int)get_local_id(0) % 32;
    const int pixel = PLAN_PIXEL(its[0]);
    #pragma unroll 1
    for (int corner = 0; corner < CORNERS; ++corner) {
        float4 given = (float4)(0.0f);
        #pragma unroll
        for (int i = 0; i < 2 * PIXEL_ROWS; ++i) {
            const plan_t at = its[PAIR(i / 2) + i % 2];
            if (PAIR(i / 2) + i % 2 < adds) given += at.y * corner_weight(planned_sample(at, 0), corner) * column[i / 2][i % 2];
        }
        given = over_pixels(given);
        if (lane < 8 && adds > 0 && pixel != RING_OUTSIDE)
            atomic_add_quad(to.ring + (index_t)(pixel + corner % 2 + corner / 2 * (width + 1)) * IN_CHANNELS, given);
    }
}
