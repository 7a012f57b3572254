/* The way back of columns into a ring of floats, for backward_data_matrix; see fixed_samples for its sibling. Needs back_samples, atomic. */
<% paired = not keeps_plans %>\
#define RING_CHANNELS ${"SAMPLE_CHANNELS" if paired else "IN_CHANNELS"}
typedef struct {
    __global float *ring; /* at the lane's channel of pixel 0 */
% if paired:
    index_t next; /* from a sample group's ring to the next one's */
% endif
} target_t;

% if paired:
/* A quad of one pixel, to the corners of its sample, whose plan is `own`, if it adds; all of a warp call it. The lanes that have a sample
 * group's channels exchange quads with those that have the next group's: some add to the left corners of both samples, the others to the
 * right ones, so that what they add together lies together. */
static inline void add_with_next(target_t to, __local const plan_t *own, float4 column, int width, int adds)
{
    const int right = (int)get_local_id(0) / (SAMPLE_CHANNELS / 4) % 2;
    const float4 got = (float4)(of_lane(column.s0, SAMPLE_CHANNELS / 4), of_lane(column.s1, SAMPLE_CHANNELS / 4),
                                of_lane(column.s2, SAMPLE_CHANNELS / 4), of_lane(column.s3, SAMPLE_CHANNELS / 4));
    __global float *corner = to.ring - (right ? to.next : 0) + right * RING_CHANNELS;
    const index_t below = (index_t)(width + 1) * RING_CHANNELS;
    #pragma unroll
    for (int i = 0; i < 2; ++i) {
        const plan_t its = own[(i - right) * TILE_PIXELS];
        const sample_t s = planned_sample(its, 0);
        const float4 quad = i == right ? column : got;
        if (adds && PLAN_PIXEL(its) != RING_OUTSIDE) {
            __global float *at = corner + i * to.next + (index_t)PLAN_PIXEL(its) * RING_CHANNELS;
            atomic_add_quad(at, its.y * (right ? corner_weight(s, 1) : corner_weight(s, 0)) * quad);
            atomic_add_quad(at + below, its.y * (right ? corner_weight(s, 3) : corner_weight(s, 2)) * quad);
        }
    }
}
% else:
/* A quad of the warp's pixel `in_warp`, to the corners of its sample. */
static inline void add_to_corners(target_t to, plan_t its, int in_warp, float4 column, int width)
{
    const sample_t s = planned_sample(its, 0);
    __global float *corner = to.ring + (index_t)PLAN_PIXEL(its) * RING_CHANNELS;
    (void)in_warp;
    atomic_add_quad(corner, its.y * corner_weight(s, 0) * column);
% if offset_groups:
    const index_t below = (index_t)(width + 1) * RING_CHANNELS;
    atomic_add_quad(corner + RING_CHANNELS, its.y * corner_weight(s, 1) * column);
    atomic_add_quad(corner + below, its.y * corner_weight(s, 2) * column);
    atomic_add_quad(corner + below + RING_CHANNELS, its.y * corner_weight(s, 3) * column);
% endif
}
% endif

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
            atomic_add_quad(to.ring + (index_t)(pixel + corner % 2 + corner / 2 * (width + 1)) * RING_CHANNELS, given);
    }
}
