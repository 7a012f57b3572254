/* backward_weight_block: the gradient of the weight for CPUs; bit-identical from run to run.
 *
 *     grad_weight[o, c, k] = sum over images n, pixels p: grad_output[n, o, p] * panel[p][c]         panel = mask * B at tap k, made on the way
 *
 * last [N][C / RUN][H * W + 1][ROOM] of acc_t, see run, channels_last; offset [N][OG][K][2][P], mask [N][OG][K][P], grad_output [N][O][P]
 * as the caller has them. grad_weight [O][C/groups][K]; or, where there are several bands, [BANDS][O][C/groups][K] of acc_t, which the
 * kernel reduce adds in order.
 * scratch [work-items][SLICE] of acc_t: panel [TILE_PIXELS][COLUMNS], sums [ROWS][COLUMNS], tile [ITEM_ROWS][TILE_PIXELS].
 *
 * A task is one tap, CHUNK channels of one group, and a band of the blocks of TILE_PIXELS pixels of all images: it owns its gradients, so
 * there are no atomics. A work-item is a thread and takes task after task; for each block it samples the panel, then multiplies
 * grad_output by it, ITEM_ROWS outputs x TILE channels in registers (see product). Of narrow groups it sums, for each channel, the outputs
 * of its group (see narrow): sums [NARROW][RUN], tile [TILE_PIXELS][RUN]. */
<%namespace name="samples" file="places.cl"/>\
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
#define TILE_PIXELS ${tile_pixels}
<%include file="grad_tile.cl"/>
#define CHUNK_RUNS ${chunk_runs}
#define CHUNK (CHUNK_RUNS * RUN)
#define CHUNKS (IN_CHANNELS / CHUNK)
#define BANDS ${bands}
<% rounded = bands == 1 and dtype != accumulator %>\
% if narrow:
#define COLUMNS RUN
#define ROWS NARROW
#define SLICE ((2 * TILE_PIXELS + ROWS) * COLUMNS)
/* Where the sum of output row i and column c belongs. */
#define FACTOR(i, c) ((index_t)(begin + (c) / NARROW * NARROW + (i)) * NARROW + (c) % NARROW)
% else:
#define COLUMNS ((CHUNK_RUNS * ROOM + TILE - 1) / TILE * TILE)
#define ROWS ((GROUP_OUT + ITEM_ROWS - 1) / ITEM_ROWS * ITEM_ROWS)
#define SLICE ((TILE_PIXELS + ROWS) * COLUMNS + ITEM_ROWS * TILE_PIXELS)
#define FACTOR(o, c) ((index_t)(group * GROUP_OUT + (o)) * GROUP_IN + begin % GROUP_IN + (c))
% endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void backward_weight_block(
    __global const data_t *grad_output,
    __global const acc_t *last,
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global ${"acc_t" if bands > 1 else "data_t"} *grad_weight, __global acc_t *scratch,
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const int outside = height * width;
    const int blocks = (int)((pixels + TILE_PIXELS - 1) / TILE_PIXELS);
    const index_t all_blocks = (index_t)batch * blocks;
    __global acc_t *panel = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *sums = panel + TILE_PIXELS * COLUMNS;
    __global acc_t *tile = sums + ROWS * COLUMNS;
    for (int j = 0; j < TILE_PIXELS * COLUMNS; ++j) panel[j] = ACC(0.0); /* columns behind the chunk stay so */

    for (int task = (int)get_global_id(0); task < CHUNKS * TAPS * BANDS; task += (int)get_global_size(0)) {
        const int band = task / (CHUNKS * TAPS);
        const int tap = task % TAPS;
        const int begin = task / TAPS % CHUNKS * CHUNK;
        const int group = begin / GROUP_IN;
        for (int j = 0; j < ROWS * COLUMNS; ++j) sums[j] = ACC(0.0);

        for (index_t block = all_blocks * band / BANDS; block < all_blocks * (band + 1) / BANDS; ++block) {
            const int n = (int)(block / blocks);
            const index_t first_pixel = block % blocks * TILE_PIXELS;
            const int real_pixels = (int)min((index_t)TILE_PIXELS, pixels - first_pixel);
            int rows[TILE_PIXELS], columns[TILE_PIXELS];
            place_pixels(first_pixel, out_width, TILE_PIXELS, rows, columns);
            for (int r = 0; r < CHUNK_RUNS; ++r) {
                const int run = begin / RUN + r;
                __global const acc_t *image = last + (n * (IN_CHANNELS / RUN) + run) * (index_t)(outside + 1) * ROOM;
                for (int p = 0; p < real_pixels; p += VEC) {
                    samples_t samples;
                    keep_samples(&samples, ${samples.here("run * RUN / SAMPLE_CHANNELS")}, ${samples.scale("run * RUN / SAMPLE_CHANNELS")}, outside);
                    ${samples.fetch_ahead("run * RUN / SAMPLE_CHANNELS")}
                    sample_run(&samples, image, panel + p * COLUMNS + r * ROOM, COLUMNS);
                }
            }
            __global const data_t *planes = grad_output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels + first_pixel;
% if narrow:
            load_grad_rows(planes, pixels, RUN, real_pixels, tile);
            multiply_narrow_over_pixels(tile, panel, COLUMNS, sums, real_pixels);
% else:
            for (int o = 0; o < GROUP_OUT; o += ITEM_ROWS) {
                __global const acc_t *a = tile;
                index_t a_row = TILE_PIXELS;
% if dtype == accumulator:
                if (o + ITEM_ROWS <= GROUP_OUT) {
                    a = planes + o * pixels;
                    a_row = pixels;
                } else
% endif
                    load_grad_tile(planes + o * pixels, pixels, GROUP_OUT - o, ITEM_ROWS, real_pixels, tile);
                for (int c = 0; c < COLUMNS; c += TILE)
                    multiply(a, a_row, 1, panel + c, COLUMNS, sums + o * COLUMNS + c, COLUMNS, real_pixels, 1);
            }
% endif
        }
        for (int o = 0; o < ${"NARROW" if narrow else "GROUP_OUT"}; ++o) {
            __global const acc_t *row = sums + o * COLUMNS;
% if rounded:
            /* Rounded as vectors, as much of a run at a time as the tile has room for: one alone takes compilers a dozen instructions. */
            for (int r = 0; r < CHUNK_RUNS; ++r)
                for (int first = 0; first < RUN; first += TILE_PIXELS) {
                    const int count = min(TILE_PIXELS, RUN - first);
                    for (int c = 0; c < count; c += VEC) store_data_vec((__global data_t *)tile, c, LOAD_VEC(0, row + r * ROOM + first + c));
                    for (int c = 0; c < count; ++c)
                        ((__global ushort *)grad_weight)[FACTOR(o, r * RUN + first + c) * TAPS + tap] = ((__global const ushort *)tile)[c];
                }
% else:
            for (int c = 0; c < CHUNK; ++c) {
                const index_t at = ${"(index_t)band * OUT_CHANNELS * %s + " % ("NARROW" if narrow else "GROUP_IN") if bands > 1 else ""}FACTOR(o, c);
                grad_weight[at * TAPS + tap] = row[c / RUN * ROOM + c % RUN];
            }
% endif
        }
    }
}
