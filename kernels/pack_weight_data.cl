/* pack_weight_data: the weight in the order in which backward_data_block reads it, channels innermost, padded with zeros, in acc_t.
 *
 *     packed[chunk][k][tile][o][j] = weight[group * GROUP_OUT + o][channel of place tile * TILE + j of the chunk][k]
 *
 * A chunk is CHUNK_RUNS runs of channels of one group, each in places of its own, see run. weight [O][C/groups][K], packed [C / CHUNK][K][CHUNK_TILES][GROUP_OUT][TILE].
 * Work-item chunk * GROUP_OUT + o: all factors of that output and chunk. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="run.cl"/>
#define CHUNK (${chunk_runs} * RUN)
#define TILE ${tile}
#define PLACES (${chunk_runs} * ROOM)
#define CHUNK_TILES ((PLACES + TILE - 1) / TILE)

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void pack_weight_data(__global const data_t *weight, __global acc_t *packed)
{
    const int chunk = (int)(get_global_id(0) / GROUP_OUT);
    const int o = (int)(get_global_id(0) % GROUP_OUT);
    const int channel = chunk * CHUNK;
    __global const data_t *from = weight + ((index_t)(channel / GROUP_IN * GROUP_OUT + o) * GROUP_IN + channel % GROUP_IN) * TAPS;
    for (int tap = 0; tap < TAPS; ++tap)
        for (int tile = 0; tile < CHUNK_TILES; ++tile) {
            __global acc_t *to = packed + ((((index_t)chunk * TAPS + tap) * CHUNK_TILES + tile) * GROUP_OUT + o) * TILE;
            for (int j = 0; j < TILE; ++j) {
                const int place = tile * TILE + j, c = place / ROOM * RUN + place % ROOM;
                to[j] = place < PLACES && place % ROOM < RUN ? load_data(from, c * TAPS + tap) : ACC(0.0);
            }
        }
}
