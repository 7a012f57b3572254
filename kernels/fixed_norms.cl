/* fixed_norms: the norm of each pixel's grad_output, for sums in fixed point (see fixed_reach).
 *
 *     norms[n][p] = largest over groups: norm of grad_output[n][outputs of a group][p], or a little more. What isn't finite counts as 0.
% if groups > 1:
 *
 * Negative where another group's norm is SPREAD times smaller, and not 0: its terms would be rounded too coarsely in sums of 32 bits.
 *
 * grad_output [N][O][P]. Work-group i: pixels [i * TILE_PIXELS, ..) of the batch. Work-item t: pixel t % TILE_PIXELS, every PARTS-th group.
 * Local memory: largest and least [PARTS][TILE_PIXELS], of groups' norms. */
% else:
 *
 * grad_output [N][O][P]. Work-group i: pixels [i * TILE_PIXELS, ..) of the batch. Work-item t: pixel t % TILE_PIXELS, every PARTS-th output.
 * Local memory: squares and sizes [PARTS][TILE_PIXELS]. */
% endif
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="norm.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define PARTS ${parts}
#define SPREAD 8.0f

__kernel __attribute__((reqd_work_group_size(TILE_PIXELS * PARTS, 1, 1)))
void fixed_norms(__global const data_t *restrict grad_output, __global float *restrict norms, int batch, int pixels)
{
<% first, second = ("largest", "least") if groups > 1 else ("squares", "sizes") %>\
    __local float ${first}[PARTS * TILE_PIXELS];
    __local float ${second}[PARTS * TILE_PIXELS];
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const long end = (long)batch * pixels;
    const long own = (long)get_group_id(0) * TILE_PIXELS + mine;
    const long at = min(own, end - 1);
    __global const data_t *from = grad_output + (index_t)(at / pixels) * OUT_CHANNELS * pixels + (index_t)(at % pixels);
% if groups > 1:
    float most = 0.0f, small = INFINITY;
    for (int group = t / TILE_PIXELS; group < GROUPS; group += PARTS) {
        float sum = 0.0f, size = 0.0f;
        #pragma unroll 8
        for (int o = 0; o < GROUP_OUT; ++o) {
            const float here = finite_size(load_data(from, (index_t)(group * GROUP_OUT + o) * pixels));
            sum += here * here;
            size = fmax(size, here);
        }
        const float norm = norm_of(sum, size, GROUP_OUT);
        most = fmax(most, norm);
        small = norm > 0.0f ? fmin(small, norm) : small;
    }
    largest[t] = most;
    least[t] = small;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < TILE_PIXELS && own < end) {
        for (int i = 1; i < PARTS; ++i) {
            most = fmax(most, largest[i * TILE_PIXELS + mine]);
            small = fmin(small, least[i * TILE_PIXELS + mine]);
        }
        norms[own] = SPREAD * small < most ? -most : most;
    }
% else:
    float sum = 0.0f, size = 0.0f;
    #pragma unroll 8
    for (int o = t / TILE_PIXELS; o < OUT_CHANNELS; o += PARTS) {
        const float here = finite_size(load_data(from, (index_t)o * pixels));
        sum += here * here;
        size = fmax(size, here);
    }
    squares[t] = sum;
    sizes[t] = size;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < TILE_PIXELS && own < end) {
        for (int i = 1; i < PARTS; ++i) {
            sum += squares[i * TILE_PIXELS + mine];
            size = fmax(size, sizes[i * TILE_PIXELS + mine]);
        }
        norms[own] = norm_of(sum, size, OUT_CHANNELS);
    }
% endif
}
