/* forward_block: the forward pass for CPUs, as a product of blocks that stay in the caches.
 *
 *     output[n, o, p] = bias[o] + sum over k = (run, tap, channel): panel[p][k] * packed[k][o]      panel = mask * B, made on the way
 *
 * last     [N][C / RUN][H * W + 1][ROOM] of acc_t: the input in runs of channels, innermost; see run, channels_last
 * packed   [GROUPS][TILES][DEPTH][TILE_OUT] of acc_t, see pack_weight_block
 * offset [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them
 * scratch  [work-items][SLICE] of acc_t: a panel [TILE_PIXELS][CHUNK] and sums [TILES][TILE_PIXELS][TILE_OUT] for each work-item
 *
 * A work-item is a thread: it takes an equal stretch of all images' pixels, in blocks of at most TILE_PIXELS of one image, so that what
 * it sampled is near for its next ones; nothing is shared, so there are no barriers. For a block it goes through the depth of the product
 * in chunks of CHUNK_PAIRS pairs of a run and a tap: samples them into the panel, VEC pixels at a time, then multiplies the panel by the
 * packed weights, ITEM_ROWS x TILE_OUT sums in registers at a time (see product). Rows of the panel behind a block's last pixel hold what
 * was there before; their sums are not stored. Narrow groups have no panel, see sample_narrow; pack_weight_narrow packs their weights.
 * Without offsets and masks there is none either: rows are read where they lie, see product_direct. */
<%namespace name="samples" file="places.cl"/>\
<%namespace name="blocks" file="block_sums.cl"/>\
<% direct = not (narrow or offset_groups or has_mask) %>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="vector.cl"/>
<%include file="run.cl"/>
% if narrow:
<%include file="narrow.cl"/>
% else:
<%include file="product.cl"/>
% endif
<%include file="sample_channels.cl"/>
% if narrow:
<%include file="sample_narrow.cl"/>
% endif
#define TILE_PIXELS ${tile_pixels}
% if direct:
<%include file="product_direct.cl"/>
% endif
#define TILE_OUT ${"RUN" if narrow else "TILE"}
#define PANEL_ROW (CHUNK + VEC)
#define PANEL ${"0" if narrow or direct else "(TILE_PIXELS * PANEL_ROW)"}
<%include file="block_sums.cl"/>
__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
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
    const int outside = height * width;
${blocks.begin()}

        for (int group = 0; group < GROUPS; ++group) {
            start_sums(sums${", bias + group * GROUP_OUT" if has_bias else ""});
            for (int first = 0; first < PAIRS; first += CHUNK_PAIRS) {
                const int depth = PAIRS % CHUNK_PAIRS == 0 ? CHUNK : min(CHUNK_PAIRS, PAIRS - first) * ROOM;
% if narrow:
                for (int p = 0; p < real_pixels; p += VEC) {
                    samples_t samples[CHUNK_PAIRS];
                    for (int j = 0; j < depth / RUN; ++j) {
                        const int tap = first + j;
                        keep_samples(samples + j, ${samples.here("group * RUN / SAMPLE_CHANNELS")}, ${samples.scale("group * RUN / SAMPLE_CHANNELS")}, outside);
                    }
                    __global const acc_t *image = last + (n * GROUPS + group) * (index_t)(outside + 1) * RUN;
                    add_samples(samples, image, packed + ((index_t)group * TAPS + first) * NARROW * RUN, sums + p * RUN, depth / RUN);
                }
% elif direct:
                index_t at[CHUNK_PAIRS * TILE_PIXELS];
                for (int j = 0; j < depth / ROOM; ++j) {
                    const int run = group * (GROUP_IN / RUN) + (first + j) / TAPS;
                    const int tap = (first + j) % TAPS;
                    const index_t image = (n * (IN_CHANNELS / RUN) + run) * (index_t)(outside + 1) * ROOM;
                    for (int p = 0; p < TILE_PIXELS; p += VEC) {
                        const lanes_t corner = ${samples.here("0")}.corner[0];
                        STORE_VEC(CONVERT_INDEX(corner >= 0 ? corner : (lanes_t)(outside)) * ROOM + image, 0, at + j * TILE_PIXELS + p);
                    }
                }
                for (int tile = 0; tile < TILES; ++tile) {
                    __global const acc_t *w = packed + (((index_t)group * TILES + tile) * DEPTH + first * ROOM) * TILE_OUT;
                    for (int p = 0; p < real_pixels; p += ITEM_ROWS)
                        multiply_direct(last, at + p, w, sums + (tile * TILE_PIXELS + p) * TILE_OUT, depth / ROOM);
                }
% else:
                for (int j = 0; j < depth / ROOM; ++j) {
                    const int run = group * (GROUP_IN / RUN) + (first + j) / TAPS;
                    const int tap = (first + j) % TAPS;
                    __global const acc_t *image = last + (n * (IN_CHANNELS / RUN) + run) * (index_t)(outside + 1) * ROOM;
                    for (int p = 0; p < real_pixels; p += VEC) {
                        samples_t samples;
                        keep_samples(&samples, ${samples.here("run * RUN / SAMPLE_CHANNELS")}, ${samples.scale("run * RUN / SAMPLE_CHANNELS")}, outside);
                        ${samples.fetch_next("run * RUN / SAMPLE_CHANNELS")}
                        sample_run(&samples, image, panel + p * PANEL_ROW + j * ROOM, PANEL_ROW);
                    }
                }
                for (int tile = 0; tile < TILES; ++tile) {
                    __global const acc_t *w = packed + (((index_t)group * TILES + tile) * DEPTH + first * ROOM) * TILE_OUT;
                    for (int p = 0; p < real_pixels; p += ITEM_ROWS)
                        multiply(panel + p * PANEL_ROW, PANEL_ROW, 1, w, TILE_OUT, sums + (tile * TILE_PIXELS + p) * TILE_OUT, TILE_OUT, depth, 1);
                }
% endif
            }
            store_sums(sums, output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels + first_pixel, pixels, real_pixels);
        }
    }
}
