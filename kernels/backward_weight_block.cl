/* backward_weight_block: the gradient of the weight for CPUs; bit-identical from run to run.
 *
 *     grad_weight[o, c, k] = sum over images n, pixels p: grad_output[n, o, p] * panel[p][c]         panel = mask * B at tap k, made on the way
 *
 * last [N][H * W + 1][C] of acc_t, see channels_last; offset [N][OG][K][2][P], mask [N][OG][K][P], grad_output [N][O][P] and
 * grad_weight [O][C/groups][K] as the caller has them.
 * scratch [work-items][SLICE] of acc_t: grad_output's tile [ROWS][TILE_PIXELS], panel [TILE_PIXELS][CHUNK], sums [ROWS][CHUNK].
 *
 * A task is one tap and CHUNK channels of one group. It owns its gradients over all pixels, so there is nothing to reduce. A
 * work-item is a thread and takes task after task; for each block of TILE_PIXELS pixels it samples the panel, vectors of channels at
 * a time, and multiplies grad_output's tile by it, ITEM_ROWS outputs x TILE channels in registers (see product). */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="product.cl"/>
<%include file="sample_channels.cl"/>
#define TILE_PIXELS ${tile_pixels}
<%include file="grad_tile.cl"/>
#define CHUNK ${chunk}
#define CHUNKS ((GROUP_IN + CHUNK - 1) / CHUNK)
#define ROWS ((GROUP_OUT + ITEM_ROWS - 1) / ITEM_ROWS * ITEM_ROWS)
#define SLICE ((ROWS + CHUNK) * TILE_PIXELS + ROWS * CHUNK)

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void backward_weight_block(
    __global const data_t *grad_output,
    __global const acc_t *last,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global data_t *grad_weight, __global acc_t *scratch,
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const index_t outside = (index_t)height * width;
    __global acc_t *tile = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *panel = tile + ROWS * TILE_PIXELS;
    __global acc_t *sums = panel + TILE_PIXELS * CHUNK;

    for (int task = (int)get_global_id(0); task < GROUPS * CHUNKS * TAPS; task += (int)get_global_size(0)) {
        const int tap = task % TAPS;
        const int group = task / (TAPS * CHUNKS);
        const int begin = group * GROUP_IN + task / TAPS % CHUNKS * CHUNK;
        const int end = min(begin + CHUNK, (group + 1) * GROUP_IN);
        for (int i = 0; i < ROWS * CHUNK; ++i) sums[i] = ACC(0.0);
        for (int i = 0; i < TILE_PIXELS * CHUNK; ++i) panel[i] = ACC(0.0);

        for (int n = 0; n < batch; ++n) {
            __global const acc_t *image = last + (index_t)n * (outside + 1) * IN_CHANNELS;
            __global const data_t *planes = grad_output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels;
            for (index_t first_pixel = 0; first_pixel < pixels; first_pixel += TILE_PIXELS) {
                const int real_pixels = (int)min((index_t)TILE_PIXELS, pixels - first_pixel);
                for (int p = 0; p < real_pixels; ++p) {
                    const index_t pixel = first_pixel + p;
                    const int oy = (int)(pixel / out_width);
                    const int ox = (int)(pixel % out_width);
                    for (int g = begin / SAMPLE_CHANNELS; g <= (end - 1) / SAMPLE_CHANNELS; ++g) {
                        const int from = max(begin, g * SAMPLE_CHANNELS);
                        const sample_t s = ${sample.here("g")};
                        const acc_t scale = ${"load_mask(mask, ENTRY(g) * pixels + pixel)" if has_mask else "ACC(1.0)"};
                        sample_channels(s, image, outside, scale, from, min(end, (g + 1) * SAMPLE_CHANNELS), panel + p * CHUNK + from - begin);
                    }
                }
                load_grad_tile(planes + first_pixel, pixels, GROUP_OUT, ROWS, real_pixels, tile);
                for (int c = 0; c < end - begin; c += TILE)
                    for (int o = 0; o < ROWS; o += ITEM_ROWS)
                        multiply(tile + o * TILE_PIXELS, TILE_PIXELS, 1, panel + c, CHUNK, sums + o * CHUNK + c, CHUNK, real_pixels);
            }
        }
        for (int o = 0; o < GROUP_OUT; ++o)
            for (int c = begin; c < end; ++c)
                store_data(grad_weight, ((index_t)(group * GROUP_OUT + o) * GROUP_IN + c - group * GROUP_IN) * TAPS + tap, sums[o * CHUNK + c - begin]);
    }
}
