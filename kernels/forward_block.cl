/* forward_block: the forward pass for CPUs, as a product of blocks that stay in the caches.
 *
 *     output[n, o, p] = bias[o] + sum over k = (tap, channel): panel[p][k] * packed[k][o]      panel = mask * B, made on the way
 *
 * last     [N][H * W + 1][C] of acc_t: the input, channels innermost, one pixel of zeros behind each image for samples outside
 * packed   [GROUPS][TILES][TAPS * GROUP_IN][TILE_OUT] of acc_t, see pack_weight
 * offset [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them
 * scratch  [work-items][SLICE] of acc_t: a panel [TILE_PIXELS][CHUNK] and sums [TILES][TILE_PIXELS][TILE_OUT] for each work-item
 *
 * A work-item is a thread: it takes block after block of TILE_PIXELS pixels of one image, and nothing is shared, so there are no
 * barriers. For a block it goes through the depth of the product in chunks of CHUNK_TAPS taps times CHUNK_CHANNELS channels:
 * samples them into the panel, vectors of channels at a time, then multiplies the panel by the packed weights, ITEM_ROWS x
 * TILE_OUT sums in registers at a time (see product). A block's last pixels are computed again where the image ends; only real ones are stored. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="product.cl"/>
<%include file="sample_channels.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_OUT TILE
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define DEPTH (TAPS * GROUP_IN)
#define CHUNK_CHANNELS ${chunk_channels}
#define CHUNK_TAPS ${chunk_taps}
#define CHUNK (CHUNK_TAPS * CHUNK_CHANNELS)
#define SLICE (TILE_PIXELS * (CHUNK + TILES * TILE_OUT))

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void forward_block(
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
    __global data_t *output, __global acc_t *scratch,
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const index_t outside = (index_t)height * width;
    const int blocks = (int)((pixels + TILE_PIXELS - 1) / TILE_PIXELS);
    __global acc_t *panel = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *sums = panel + TILE_PIXELS * CHUNK;

    for (index_t block = (index_t)get_global_id(0); block < (index_t)batch * blocks; block += (index_t)get_global_size(0)) {
        const int n = (int)(block / blocks);
        const index_t first_pixel = block % blocks * TILE_PIXELS;
        const int real_pixels = (int)min((index_t)TILE_PIXELS, pixels - first_pixel);
        __global const acc_t *image = last + (index_t)n * (outside + 1) * IN_CHANNELS;

        for (int group = 0; group < GROUPS; ++group) {
            for (int p = 0; p < TILE_PIXELS; ++p)
                for (int o = 0; o < TILES * TILE_OUT; ++o) {
                    __global acc_t *sum = sums + (o / TILE_OUT * TILE_PIXELS + p) * TILE_OUT + o % TILE_OUT;
                    *sum = ${"o < GROUP_OUT ? load_data(bias, group * GROUP_OUT + o) : ACC(0.0)" if has_bias else "ACC(0.0)"};
                }
            for (int first_tap = 0; first_tap < TAPS; first_tap += CHUNK_TAPS) {
                for (int first = 0; first < GROUP_IN; first += CHUNK_CHANNELS) {
                    const int begin = group * GROUP_IN + first;
                    const int end = min(begin + CHUNK_CHANNELS, (group + 1) * GROUP_IN);
                    const int taps = min(CHUNK_TAPS, TAPS - first_tap);
                    for (int p = 0; p < TILE_PIXELS; ++p) {
                        const index_t pixel = min(first_pixel + p, pixels - 1);
                        const int oy = (int)(pixel / out_width);
                        const int ox = (int)(pixel % out_width);
                        for (int tap = first_tap; tap < first_tap + taps; ++tap) {
                            __global acc_t *row = panel + p * CHUNK + (tap - first_tap) * (end - begin);
                            for (int g = begin / SAMPLE_CHANNELS; g <= (end - 1) / SAMPLE_CHANNELS; ++g) {
                                const int from = max(begin, g * SAMPLE_CHANNELS);
                                const sample_t s = ${sample.here("g")};
                                const acc_t scale = ${"load_mask(mask, ENTRY(g) * pixels + pixel)" if has_mask else "ACC(1.0)"};
                                sample_channels(s, image, outside, scale, from, min(end, (g + 1) * SAMPLE_CHANNELS), row + from - begin);
                            }
                        }
                    }
                    for (int tile = 0; tile < TILES; ++tile) {
                        __global const acc_t *w = packed + (((index_t)group * TILES + tile) * DEPTH + first_tap * GROUP_IN + first) * TILE_OUT;
                        for (int p = 0; p < TILE_PIXELS; p += ITEM_ROWS)
                            multiply(panel + p * CHUNK, CHUNK, 1, w, TILE_OUT, sums + (tile * TILE_PIXELS + p) * TILE_OUT, TILE_OUT, taps * (end - begin));
                    }
                }
            }
            for (int o = 0; o < GROUP_OUT; ++o) {
                const index_t row = ((index_t)n * OUT_CHANNELS + group * GROUP_OUT + o) * pixels + first_pixel;
                __global const acc_t *sum = sums + o / TILE_OUT * TILE_PIXELS * TILE_OUT + o % TILE_OUT;
                for (int p = 0; p < real_pixels; ++p) store_data(output, row + p, sum[p * TILE_OUT]);
            }
        }
    }
}
