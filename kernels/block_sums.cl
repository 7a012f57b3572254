<%namespace name="vector" file="vector.cl"/>\
/* The sums of a block of TILE_PIXELS pixels, in tiles of TILE_OUT outputs, and how the depth of its product is cut: into PAIRS pairs of a
 * run and a tap, CHUNK_PAIRS at a time. PANEL is the room of what is multiplied.
 * Needs shape, vector and run. */
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define PAIRS (GROUP_IN / RUN * TAPS)
#define DEPTH (PAIRS * ROOM)
#define CHUNK_PAIRS ${chunk_pairs}
#define CHUNK (CHUNK_PAIRS * ROOM)
#define SLICE (PANEL + TILE_PIXELS * TILES * TILE_OUT)

/* The first of all images' vectors of VEC pixels that work-item `item` takes; each takes as many as the others, or one more. */
static inline index_t first_vector(index_t vectors, size_t item) { return (index_t)((long)vectors * (long)item / (long)get_global_size(0)); }

/* sums[tile][p][..] = bias of the group's outputs, 0 behind them. */
static inline void start_sums(__global acc_t *sums${", __global const data_t *bias" if has_bias else ""})
{
    for (int tile = 0; tile < TILES; ++tile) {
        __global acc_t *first = sums + tile * TILE_PIXELS * TILE_OUT;
        for (int j = 0; j < TILE_OUT; ++j)
            first[j] = ${"tile * TILE_OUT + j < GROUP_OUT ? load_data(bias, tile * TILE_OUT + j) : ACC(0.0)" if has_bias else "ACC(0.0)"};
        for (int v = 0; v < TILE_OUT; v += VEC) {
            const vec_t start = LOAD_VEC(0, first + v);
            for (int p = 1; p < TILE_PIXELS; ++p) STORE_VEC(start, 0, first + p * TILE_OUT + v);
        }
    }
}

/* output[o][p] = sums[p][o], for the group's outputs o and a block's pixels. */
static inline void store_sums(__global const acc_t *sums, __global data_t *output, index_t pixels, int real_pixels)
{
    for (int o = 0; o < GROUP_OUT; o += VEC) {
        __global const acc_t *from = sums + o / TILE_OUT * TILE_PIXELS * TILE_OUT + o % TILE_OUT;
        __global data_t *to = output + o * pixels;
        int p = 0;
        if (o + VEC <= GROUP_OUT)
            for (; p + VEC <= real_pixels; p += VEC) {
% for r in range(vec):
                vec_t row_${r} = LOAD_VEC(0, from + (p + ${r}) * TILE_OUT);
% endfor
                ${vector.transpose(vec)}
% for r in range(vec):
                store_data_vec(to, ${r} * pixels + p, row_${r});
% endfor
            }
        for (int j = 0; j < min(VEC, GROUP_OUT - o); ++j)
            for (int q = p; q < real_pixels; ++q) store_data(to, j * pixels + q, from[q * TILE_OUT + j]);
    }
}

## A work-item's stretch of pixels, block by block: the loop to its opening brace, and what is known of a block. Names as in the kernels.
<%def name="begin()">\
    const index_t pixels = (index_t)out_height * out_width;
    const index_t vectors = (pixels + VEC - 1) / VEC;
    __global acc_t *panel = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *sums = panel + PANEL;
    for (int j = 0; j < PANEL; ++j) panel[j] = ACC(0.0); /* what was never written may be slow denormals */

    const index_t end = first_vector(batch * vectors, get_global_id(0) + 1);
    int real_pixels = 0;
    for (index_t at = first_vector(batch * vectors, get_global_id(0)); at < end; at += (real_pixels + VEC - 1) / VEC) {
        const int n = (int)(at / vectors);
        const index_t first_pixel = at % vectors * VEC;
        real_pixels = (int)min(min(end - at, (index_t)(TILE_PIXELS / VEC)) * VEC, pixels - first_pixel);
        int rows[TILE_PIXELS], columns[TILE_PIXELS];
        place_pixels(first_pixel, out_width, TILE_PIXELS, rows, columns);\
</%def>\
