/* pack_weight_block: the weight in the order in which forward_block reads it, outputs innermost in tiles, in acc_t, padded with zeros.
 *
 *     packed[group][tile][(run * K + k) * ROOM + c][j] = weight[group * GROUP_OUT + tile * TILE_OUT + j][run * RUN + c][k]
 *
 * weight [O][C/groups][K], packed [GROUPS][TILES][DEPTH][TILE_OUT]; zeros for RUN <= c < ROOM, see run.
 * Work-item ((group * TILES + tile) * TILE_VECS + v) * BLOCKS + i:
 * VEC outputs of a tile, and BLOCK of the GROUP_IN * K factors that an output has, VEC x VEC at a time. */
<%namespace name="vector" file="vector.cl"/>\
<%include file="types.cl"/>
<%include file="vector.cl"/>
<%include file="channels.cl"/>
#define TILE_OUT ${tile_out}
#define TILE_VECS (TILE_OUT / VEC)
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
<%include file="run.cl"/>
#define DEPTH (TAPS * GROUP_IN / RUN * ROOM)
#define FACTORS (TAPS * GROUP_IN)
#define BLOCK ${block}
#define BLOCKS ((FACTORS + BLOCK - 1) / BLOCK)

/* Where factor d = c * TAPS + k of an output lies in its tile. */
static inline __global acc_t *factor(__global acc_t *tile, int d)
{
    const int c = d / TAPS, k = d % TAPS;
    return tile + (index_t)((c / RUN * TAPS + k) * ROOM + c % RUN) * TILE_OUT;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void pack_weight_block(__global const data_t *weight, __global acc_t *packed)
{
    const index_t item = (index_t)get_global_id(0) / BLOCKS;
    const int first = (int)(get_global_id(0) % BLOCKS) * BLOCK;
    const int end = min(first + BLOCK, FACTORS);
    const int group = (int)(item / (TILES * TILE_VECS));
    const int out = (int)(item % (TILES * TILE_VECS)) * VEC;
    const int outs = min(VEC, GROUP_OUT - out);
    __global const data_t *from = weight + (index_t)(group * GROUP_OUT + out) * FACTORS;
    __global acc_t *to = packed + item / TILE_VECS * DEPTH * TILE_OUT + item % TILE_VECS * VEC;
    int d = first;
    if (outs == VEC)
        for (; d + VEC <= end; d += VEC) {
% for r in range(vec):
            vec_t row_${r} = load_data_vec(from, (index_t)${r} * FACTORS + d);
% endfor
            ${vector.transpose(vec)}
% for r in range(vec):
            STORE_VEC(row_${r}, 0, factor(to, d + ${r}));
% endfor
        }
    for (; d < end; ++d)
        for (int j = 0; j < VEC; ++j) factor(to, d)[j] = j < outs ? load_data(from, (index_t)j * FACTORS + d) : ACC(0.0);
    if (ROOM > RUN && end == FACTORS)
        for (int pair = 0; pair < DEPTH / ROOM; ++pair)
            for (int c = RUN; c < ROOM; ++c)
                for (int j = 0; j < VEC; ++j) to[(index_t)(pair * ROOM + c) * TILE_OUT + j] = ACC(0.0);
}
