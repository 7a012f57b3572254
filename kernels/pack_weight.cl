/* pack_weight: the weight in the order in which a product reads it, outputs innermost in tiles, in acc_t, padded with zeros.
 *
 *     packed[group][tile][k * GROUP_IN + c][i] = weight[group * GROUP_OUT + tile * TILE_OUT + i][c][k]
 *
 * weight [O][C/groups][K], packed [GROUPS][TILES][K * GROUP_IN][TILE_OUT]. Work-item j: element j of packed (beyond it, idle). */
<%include file="types.cl"/>
<%include file="channels.cl"/>
#define TILE_OUT ${tile_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define DEPTH (TAPS * GROUP_IN)

__kernel void pack_weight(__global const data_t *weight, __global acc_t *packed)
{
    const index_t j = (index_t)get_global_id(0);
    if (j >= (index_t)GROUPS * TILES * DEPTH * TILE_OUT) return;
    const index_t k = j / TILE_OUT % DEPTH;
    const int tile = (int)(j / ((index_t)TILE_OUT * DEPTH) % TILES);
    const int group = (int)(j / ((index_t)TILE_OUT * DEPTH * TILES));
    const int out = tile * TILE_OUT + (int)(j % TILE_OUT);
    const index_t from = ((index_t)(group * GROUP_OUT + out) * GROUP_IN + k % GROUP_IN) * TAPS + k / GROUP_IN;
    packed[j] = out < GROUP_OUT ? load_data(weight, from) : ACC(0.0);
}
