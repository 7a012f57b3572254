/* pack_weight_data: the weight in the order in which backward_data_block reads it, channels innermost, padded with zeros, in acc_t.
 *
 *     packed[chunk][k][tile][o][j] = weight[group * GROUP_OUT + o][channel tile * TILE + j of the chunk][k]
 *
 * weight [O][C/groups][K], packed [CHUNKS][K][CHUNK_TILES][GROUP_OUT][TILE]. Work-item i: element i of packed (beyond it, idle). */
<%include file="types.cl"/>
<%include file="channels.cl"/>
<%include file="chunks.cl"/>
#define TILE ${tile}
#define CHUNK_TILES ((CHUNK + TILE - 1) / TILE)

__kernel void pack_weight_data(__global const data_t *weight, __global acc_t *packed)
{
    const index_t i = (index_t)get_global_id(0);
    if (i >= (index_t)CHUNKS * TAPS * CHUNK_TILES * GROUP_OUT * TILE) return;
    const int o = (int)(i / TILE % GROUP_OUT);
    const int tile = (int)(i / ((index_t)TILE * GROUP_OUT) % CHUNK_TILES);
    const int tap = (int)(i / ((index_t)TILE * GROUP_OUT * CHUNK_TILES) % TAPS);
    const int chunk = (int)(i / ((index_t)TILE * GROUP_OUT * CHUNK_TILES * TAPS));
    const int c = chunk_begin(chunk) + tile * TILE + (int)(i % TILE);
    const index_t from = ((index_t)(c / GROUP_IN * GROUP_OUT + o) * GROUP_IN + c % GROUP_IN) * TAPS + tap;
    packed[i] = c < chunk_end(chunk) ? load_data(weight, from) : ACC(0.0);
}
