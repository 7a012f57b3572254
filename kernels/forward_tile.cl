/* forward_tile: the forward pass for GPUs, an implicit product whose tiles meet in local memory.
 *
 *     output[n, o, p] = bias[o] + sum over k = tap * GROUP_IN + channel: panel[k][p] * packed[k][o]      panel = mask * B, made on the way
 *
 * last     [N][H * W + 1][C] of acc_t: the input, channels innermost, one pixel of zeros behind each image for samples outside
 * packed   [GROUPS][TILES][DEPTH][TILE_OUT] of acc_t, see pack_weight
 * offset [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch times tile j % TILES of the outputs of group j / TILES. Work-item t
 * has two jobs, with a barrier between them, for each TILE_K of the depth:
 *   sample:   lane t % LANES takes VEC channels of pixels t / LANES + pass * ROWS, so that LANES neighbours read one pixel's
 *             channels together; a sample group never splits a lane's channels (VEC divides it)
 *   multiply: it owns pixels x + i * ITEMS_X and outputs y * ITEM_OUT + j (x = t % ITEMS_X, y = t / ITEMS_X): neighbours read
 *             neighbouring pixels of the panel, and the same weights
 * Local memory: panel [TILE_K][TILE_PIXELS + 1] (the odd row length spreads the samplers' writes over the banks),
 * weights [TILE_K][TILE_OUT]. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
#define VEC ${vec}
#define TILE_PIXELS ${tile_pixels}
#define TILE_OUT ${tile_out}
#define TILE_K ${tile_k}
#define ITEM_PIXELS ${item_pixels}
#define ITEM_OUT ${item_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define DEPTH (TAPS * GROUP_IN)
#define ITEMS_X (TILE_PIXELS / ITEM_PIXELS)
#define ITEMS (ITEMS_X * (TILE_OUT / ITEM_OUT))
#define LANES (TILE_K / VEC)
#define ROWS (ITEMS / LANES)
#define PASSES (TILE_PIXELS / ROWS)
#define PANEL_ROW (TILE_PIXELS + 1)
% if vec == 1:
#define vec_t acc_t
#define LOAD_VEC(i, p) ((p)[i])
% else:
#define vec_t ${"double" if accumulator == "float64" else "float"}${vec}
#define LOAD_VEC vload${vec}
% endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void forward_tile(
    __global const acc_t *last,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global const acc_t *packed,
% if has_bias:
    __global const data_t *bias,
% endif
    __global data_t *output,
    int batch, int height, int width, int out_height, int out_width)
{
    __local acc_t panel[TILE_K * PANEL_ROW];
    __local acc_t weights[TILE_K * TILE_OUT];
    const int t = (int)get_local_id(0);
    const int lane = t % LANES;
    const int group = (int)get_group_id(1) / TILES;
    const int tile = (int)get_group_id(1) % TILES;
    const index_t pixels = (index_t)out_height * out_width;
    const index_t outside = (index_t)height * width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const long end = (long)batch * pixels;
    __global const acc_t *tile_weights = packed + ((index_t)group * TILES + tile) * DEPTH * TILE_OUT;

    acc_t sum[ITEM_PIXELS][ITEM_OUT];
    for (int i = 0; i < ITEM_PIXELS; ++i)
        for (int j = 0; j < ITEM_OUT; ++j) sum[i][j] = ACC(0.0);

    for (int k = 0; k < DEPTH; k += TILE_K) {
        const int row = k + lane * VEC;
        const int tap = row / GROUP_IN;
        const int channel = group * GROUP_IN + row % GROUP_IN;
        for (int pass = 0; pass < PASSES; ++pass) {
            const int column = t / LANES + pass * ROWS;
            const long at = min(first + column, end - 1);
            vec_t value = (vec_t)(ACC(0.0));
            if (row < DEPTH) {
                const int n = (int)(at / pixels);
                const index_t pixel = (index_t)(at % pixels);
                const int oy = (int)(pixel / out_width);
                const int ox = (int)(pixel % out_width);
% if offset_groups:
                const int g = channel / SAMPLE_CHANNELS;
% endif
                const sample_t s = ${sample.here("g")};
                __global const acc_t *image = last + (index_t)n * (outside + 1) * IN_CHANNELS + channel;
                for (int i = 0; i < CORNERS; ++i)
                    value += corner_weight(s, i) * LOAD_VEC(0, image + (s.corner[i] >= 0 ? s.corner[i] : outside) * IN_CHANNELS);
% if has_mask:
                value *= load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
            }
% for i in range(vec):
            panel[(lane * VEC + ${i}) * PANEL_ROW + column] = value${"" if vec == 1 else ".s%x" % i};
% endfor
        }
        for (int i = t; i < TILE_K * TILE_OUT; i += ITEMS)
            weights[i] = k * TILE_OUT + i < DEPTH * TILE_OUT ? tile_weights[(index_t)k * TILE_OUT + i] : ACC(0.0);
        barrier(CLK_LOCAL_MEM_FENCE);

        for (int depth = 0; depth < TILE_K; ++depth) {
            acc_t x[ITEM_PIXELS], w[ITEM_OUT];
            for (int i = 0; i < ITEM_PIXELS; ++i) x[i] = panel[depth * PANEL_ROW + t % ITEMS_X + i * ITEMS_X];
            for (int j = 0; j < ITEM_OUT; ++j) w[j] = weights[depth * TILE_OUT + t / ITEMS_X * ITEM_OUT + j];
            for (int i = 0; i < ITEM_PIXELS; ++i)
                for (int j = 0; j < ITEM_OUT; ++j) sum[i][j] += x[i] * w[j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < ITEM_PIXELS; ++i) {
        const long at = first + t % ITEMS_X + i * ITEMS_X;
        const index_t n = (index_t)(at / pixels);
        for (int j = 0; j < ITEM_OUT; ++j) {
            const int in_group = tile * TILE_OUT + t / ITEMS_X * ITEM_OUT + j;
            if (at < end && in_group < GROUP_OUT) {
                const int o = group * GROUP_OUT + in_group;
                store_data(output, (n * OUT_CHANNELS + o) * pixels + (index_t)(at % pixels), sum[i][j]${" + load_data(bias, o)" if has_bias else ""});
            }
        }
    }
}
