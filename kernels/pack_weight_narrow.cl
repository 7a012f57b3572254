/* pack_weight_narrow: the weight of narrow groups, in acc_t, as multiply_narrow reads it (see narrow).
 *
 *     packed[run][k][i][j] = weight[o][c][k]    o the run's output j, c channel i of its group
 *     TO_CHANNELS:                              c the run's channel j, o output i of its group
 *
 * weight [O][NARROW][K], packed [C / RUN][K][NARROW][RUN]. Work-item (run * K + k) * NARROW + i. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
#define RUN ${run}
#define NARROW GROUP_IN
#define TO_CHANNELS ${int(to_channels)}

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void pack_weight_narrow(__global const data_t *weight, __global acc_t *packed)
{
    const index_t item = (index_t)get_global_id(0);
    const int i = (int)(item % NARROW);
    const int tap = (int)(item / NARROW % TAPS);
    const int first = (int)(item / NARROW / TAPS) * RUN;
    for (int j = 0; j < RUN; ++j) {
        const int out = first + (TO_CHANNELS ? j / NARROW * NARROW + i : j), c = TO_CHANNELS ? j % NARROW : i;
        packed[item * RUN + j] = load_data(weight, ((index_t)out * NARROW + c) * TAPS + tap);
    }
}
