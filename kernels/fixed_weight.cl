/* fixed_weight: how much a channel's weights can enlarge what comes through them, for sums in fixed point (see fixed).
 *
 *     scales[c] = 2**(-f - 2), f the exponent of: sum over outputs o of c's group: max over taps k: |weight[o][c][k]|
 *
 * weight [O][C/groups][K]. What isn't finite counts as 0. Work-group i: channel i. Local memory: sums [ITEMS]. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
#define ITEMS ${items}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void fixed_weight(__global const data_t *restrict weight, __global float *restrict scales)
{
    __local float sums[ITEMS];
    const int t = (int)get_local_id(0);
    const int c = (int)get_group_id(0);
    const int group = c / GROUP_IN;
    float sum = 0.0f;
    for (int o = group * GROUP_OUT + t; o < (group + 1) * GROUP_OUT; o += ITEMS) {
        float largest = 0.0f;
        for (int tap = 0; tap < TAPS; ++tap) {
            const float size = fabs(load_data(weight, ((index_t)o * GROUP_IN + c - group * GROUP_IN) * TAPS + tap));
            if (size <= FLT_MAX) largest = fmax(largest, size);
        }
        sum += largest;
    }
    sums[t] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        if (t < half_of) sums[t] += sums[t + half_of];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (t == 0) {
        const int f = (int)(as_uint(fmin(sums[0], FLT_MAX)) >> 23) - 127;
        scales[c] = as_float((uint)(clamp(-f - 2, -126, 126) + 127) << 23);
    }
}
