/* fixed_weight: how much a channel's weights can enlarge what comes through them, for sums in fixed point (see fixed).
 *
 *     scales[c] = the inverse of: max over taps k: norm of weight[outputs of c's group][c][k], or a little less
 *
 * weight [O][C/groups][K]. What isn't finite counts as 0. Work-group i: channel i. Work-item t: tap t % TAPS (those behind it too where it has
 * more than there are work-items), outputs t / TAPS + .. Local memory: squares and sizes [ROWS][ACROSS], of a work-item's weights. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="norm.cl"/>
#define ITEMS ${items}
#define ACROSS ${min(items, kernel_x * kernel_y)}
#define ROWS (ITEMS / ACROSS)

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void fixed_weight(__global const data_t *restrict weight, __global float *restrict scales)
{
    __local float squares[ITEMS];
    __local float sizes[ITEMS];
    const int t = (int)get_local_id(0);
    const int c = (int)get_group_id(0);
    const int group = c / GROUP_IN;
    float largest = 0.0f, size = 0.0f;
    for (int tap = t % ACROSS; tap < TAPS; tap += ACROSS) {
        float sum = 0.0f;
        for (int o = t / ACROSS; o < (t / ACROSS < ROWS ? GROUP_OUT : 0); o += ROWS) {
            const float here = finite_size(load_data(weight, ((index_t)(group * GROUP_OUT + o) * GROUP_IN + c - group * GROUP_IN) * TAPS + tap));
            sum += here * here;
            size = fmax(size, here);
        }
        largest = fmax(largest, sum);
    }
    squares[t] = largest;
    sizes[t] = size;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int row = 1; row < (t < ACROSS ? ROWS : 0); ++row) {
        squares[t] += squares[row * ACROSS + t];
        sizes[t] = fmax(sizes[t], sizes[row * ACROSS + t]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t == 0) {
        for (int i = 0; i < ACROSS; ++i) {
            largest = fmax(largest, squares[i]);
            size = fmax(size, sizes[i]);
        }
        const float norm = norm_of(largest, size, GROUP_OUT);
        scales[c] = norm > 0.0f ? 1.0f / fmin(norm, 0x1p125f) : 1.0f;
    }
}
