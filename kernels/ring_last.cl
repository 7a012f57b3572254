/* ring_last: the input with its channels innermost, in a ring of zeros (see ring), in its own type.
 *
 *     ring[pixel of (n, row, column)][c] = input[n][c][row][column];   zeros elsewhere
% if sizes:
 *     largest[pixel] = max over c: |input[n][c][row][column]|, 0 elsewhere, as bfloat16, rounded up, in the low bits; in the high ones that of
 *     the next pixel
 *
 * Products in halves hold a number to 2**-39 of the largest. A pixel of which two of a work-item's channels, or all of a block's, lie
 * further than 2**-DOUBT_BITS below its largest, and aren't 0, has an infinite magnitude: whoever samples it finds out, and does it otherwise.
% endif
 *
 * input [N][C][H][W], ring [width + 3 + N * (H + 1) * (W + 1)][C]. Work-group i: pixels [i * NEW_PIXELS, ..) of the ring, all channels,
 * BLOCK at a time. Work-item t reads ITEM_WORDS words of pixel t % TILE_PIXELS: neighbours read neighbouring pixels, and write
 * neighbouring channels.
 *
 * Local memory: tile [WORDS][TILE_PIXELS + 1]: the odd length spreads columns over the banks${"; most_of [ROWS][TILE_PIXELS]" if sizes else ""}. */
<%include file="types.cl"/>
#define ITEMS ${items}
#define BLOCK ${block}
#define TILE_PIXELS ${tile_pixels}
#define DOUBT_BITS ${doubt_bits}
<%include file="make_ring.cl"/>

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_last(
    __global const data_t *restrict input, __global data_t *restrict ring, ${"__global uint *restrict largest, " if sizes else ""}
    int batch, int height, int width)
{
    __local word_t tile[WORDS * ROW];
% if sizes:
    __local float most_of[ROWS * TILE_PIXELS];
    __local int doubted[TILE_PIXELS];
% endif
    make_ring((int)get_group_id(0), tile, ${"most_of, doubted, " if sizes else ""}input, ring, ${"largest, " if sizes else ""}batch, height, width);
}
