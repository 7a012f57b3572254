/* ring_and_weight: what ${"ring_last and " if ring else ""}${"pack_weight_back" if back else "pack_weight_matrix"} do, in one launch: neither waits for the other, and small layers wait for launches.
 *
 * Buffers as there. ${"Work-groups below ring_groups make the ring, the next" if ring else "The first"}${" weight_groups pack the weight, the others set zeroed [quads] to zero" if zeros else " pack the weight"}. */
<%include file="types.cl"/>
<%include file="channels.cl"/>
% if back:
<%include file="matrix_back.cl"/>
% else:
<%include file="matrix.cl"/>
<%include file="packed_outputs.cl"/>
% endif
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
% if ring:
#define BLOCK ${block}
#define TILE_PIXELS ${tile_pixels}
<%include file="make_ring.cl"/>
% endif
<%include file="make_packed.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_and_weight(
% if ring:
    __global const data_t *restrict input, __global data_t *restrict ring, __global float *restrict largest,
% endif
    __global const data_t *restrict weight, __global half *restrict packed, __global float *restrict unscale,
% if zeros:
    __global uint4 *restrict zeroed,
% endif
    ${"int batch, int height, int width, int ring_groups" if ring else ""}${", " if ring and zeros else ""}${"int weight_groups, long quads" if zeros else ""})
{
% if ring:
    __local word_t tile[WORDS * ROW];
    __local float most_of[ROWS * TILE_PIXELS];
    __local int doubted[TILE_PIXELS];
% endif
    __local float4 all[ITEMS];
    const int work_group = (int)get_group_id(0);
% if ring:
    const int packs = work_group - ring_groups;
    if (packs < 0) make_ring(work_group, tile, most_of, doubted, input, ring, largest, batch, height, width);
    else
% else:
    const int packs = work_group;
% endif
% if zeros:
    if (packs >= weight_groups) {
        const long first = (long)(packs - weight_groups) * (ITEMS * ${quads}) + (long)get_local_id(0);
        for (long i = first; i < min(first + ITEMS * ${quads}, quads); i += ITEMS) zeroed[i] = (uint4)(0);
    } else
% endif
    make_packed(packs, all, weight, packed, unscale);
}
