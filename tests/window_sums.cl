/* window_sums: what backward_data_matrix does with a window of sums, from plans and columns that are there, on any device.
 *
 * plans [TAPS][TILE_PIXELS], columns [TAPS][TILE_PIXELS][TILE_OUT], unscaled [TILE_PIXELS], unscale [TILE_OUT]; ring [..][TILE_OUT], zero before.
 * counts: quads that were added to the window, and to the ring; sums that are left in the window. */
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="plan.cl"/>
<%include file="quads.cl"/>
<%include file="scale.cl"/>
<%include file="atomic.cl"/>
<%include file="planned_sample.cl"/>
#define ITEMS 128
#define TILE_PIXELS ${tile_pixels}
#define TILE_OUT ${tile_channels}
#define PLANNED TILE_PIXELS
#define FIRST_TAP 0
#define PAST_TAP TAPS
<%include file="window.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void window_sums(
    __global const plan_t *plans, __global const float *all_unscaled, __global const float *unscale, __global const float4 *columns, __global float *ring,
    volatile __global int *counts, int real_pixels, int beside, int width)
{
    __local plan_t plan[TAPS * TILE_PIXELS];
    __local float unscaled[TILE_PIXELS];
    __local int window[WINDOW_CELLS * CELL];
    __local short cells[TAPS * TILE_PIXELS];
    __local float4 factors[TILE_OUT / 4];
    __local int room[WINDOW_CELLS];
    __local uint most[2];
    __local int mean[4];
    const int t = (int)get_local_id(0);
    for (int i = t; i < TAPS * TILE_PIXELS; i += ITEMS) plan[i] = plans[i];
    for (int i = t; i < TILE_PIXELS; i += ITEMS) unscaled[i] = all_unscaled[i];
    for (int i = t; i < WINDOW_CELLS * CELL; i += ITEMS) window[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    const int origin = plan_window(plan, unscaled, real_pixels, beside, width, cells, room, most, mean);
    const float quanta = window_quanta(most, mean);
    for (int c = t; c < TILE_OUT; c += ITEMS) ((__local float *)factors)[c] = window_factor(unscale[c], most[MOST_SIZE]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t; i < TAPS * TILE_PIXELS * (TILE_OUT / 4); i += ITEMS) {
        const int at = i / (TILE_OUT / 4), quad = i % (TILE_OUT / 4);
        const plan_t its = plan[at];
        if (at % TILE_PIXELS >= real_pixels || PLAN_PIXEL(its) == RING_OUTSIDE) continue;
        if (cells[at] != NO_CELL && add_to_window(window + cells[at] * CELL + 4 * quad, its, quanta, columns[i], factors[quad])) {
            atomic_inc(counts);
            continue;
        }
        atomic_inc(counts + 1);
        for (int corner = 0; corner < CORNERS; ++corner) {
            const index_t to = PLAN_PIXEL(its) + corner % 2 + corner / 2 * (width + 1);
            atomic_add_quad(ring + to * IN_CHANNELS + 4 * quad, its.y * corner_weight(planned_sample(its, 0), corner) * columns[i]);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    empty_window(window, factors, quanta, ring, origin, width);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = t; i < WINDOW_CELLS * CELL; i += ITEMS)
        if (window[i] != 0) atomic_inc(counts + 2);
}
