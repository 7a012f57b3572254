/* Begin to copy the gradients of a block to local memory; and the places of some. */
static inline void fetch_grads(__global const uint4 *restrict packed, index_t group_block, int tile_out, __local uint4 *grads)
{
    const int t = MY_ITEM;
    __global const uint4 *from = packed + group_block * (PARTS * OUTS * BLOCK / 8) + tile_out * (BLOCK / 8);
    #pragma unroll
    for (int k = 0; k < GRADS / ITEMS; ++k) {
        const int i = t + k * ITEMS;
        copy_ahead(grads + i, from + i / (GRADS / PARTS) * (OUTS * BLOCK / 8) + i % (GRADS / PARTS));
    }
}
static inline void fetch_places(__global const uint4 *restrict all_places, int block, int last_block, int group, __local int4 *places)
{
    const int t = MY_ITEM;
    if (t < BLOCK) copy_ahead((__local uint4 *)places + t, all_places + (index_t)(min(block, last_block) * GROUPS + group) * BLOCK + t);
}
