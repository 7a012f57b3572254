/* backward_data_block: the gradients of input, offset and mask for CPUs; no atomics, bit-identical from run to run.
 *
 *     column[p][c]            = sum over outputs o of c's group: grad_output[n, o, p] * packed[o][c]            at one tap
 *     dot[corner]             = sum over the run's channels c: column[p][c] * V[corner][c]
 *     grad_mask               = blend(dot), grad_offset = mask * blend_dy(dot), mask * blend_dx(dot)
 *     grad_last[corner][c]   += mask * column[p][c] * (weight of corner)
 *
 * last [N][C / RUN][H * W + 1][ROOM], grad_last [BANDS][N][C / RUN][H * W + 1][ROOM] of acc_t, see run, channels_last, channels_first: what
 * falls outside the image is added to the pixel behind it. packed of acc_t, see pack_weight_data or, for narrow groups,
 * pack_weight_narrow; offset [N][G][K][2][P], mask [N][G][K][P], grad_output [N][O][P] as the caller has them.
 * grad_offset [PARTS][N][G][K][2][P] and grad_mask [PARTS][N][G][K][P]: the runs of a task that share offsets are added to its part. Where
 * there are several parts, or storage would round sums, parts are of acc_t, and the kernel reduce adds them in order.
 * scratch [work-items][SLICE] of acc_t: grad_output's tile [GROUP_OUT][TILE_PIXELS], column [TILE_PIXELS][COLUMNS].
 *
 * A task is one image, TASK_CHUNKS chunks of channels, and a band of blocks of TILE_PIXELS pixels: it owns these channels of its band's
 * grad_last, so its adds need no atomics. A work-item is a thread and takes task after task, each chunk after chunk; it walks over blocks
 * and all taps. */
<%namespace name="samples" file="places.cl"/>\
<%namespace name="vector" file="vector.cl"/>\
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
#define COLUMNS ${"RUN" if narrow else "((CHUNK_RUNS * ROOM + TILE - 1) / TILE * TILE)"}
#define SLICE (TILE_PIXELS * (GROUP_OUT + COLUMNS))
#define TASK_CHUNKS ${task_chunks}
#define TASKS (CHUNKS / TASK_CHUNKS) /* of an image's band */
#define PART_RUNS ${part_runs}
#define PARTS (SAMPLE_CHANNELS / RUN / PART_RUNS)
<%
    wanted = needs_offset or needs_mask
    corners = range(4 if offset_groups else 1)
    small = lambda name: "acc_t" if name in partial.split() else name + "_t"
    added = lambda name: name in partial.split() or part_runs > 1
%>\
/* Takes a run's columns at `lanes` pixels through their samples: adds to the corners' gradients, by weights that hold the mask already,
 * and dots columns and corners. Of each dot the WIDTH elements are left that its vectors are summed to: dots[corner][lane][WIDTH]. */
__attribute__((noinline)) /* inlined, Intel's compiler takes three times as long for the kernel */
static void through_samples(
% if wanted:
    __global const acc_t *image, acc_t *dots,
% endif
% if needs_input:
    __global acc_t *grad_image,
% endif
    const samples_t *samples, int lanes, __global const acc_t *column)
{
    for (int lane = 0; lane < lanes; ++lane, column += COLUMNS) {
% for i in corners:
        const index_t corner_${i} = samples->corner[${i}].lane[lane];
% if needs_input:
        const acc_t weight_${i} = samples->weight[${i}].lane[lane];
% endif
% if wanted:
        run_vec_t dot_${i} = (run_vec_t)(ACC(0.0));
% endif
% endfor
        for (int c = 0; c < ROOM; c += WIDTH) {
            const run_vec_t through = LOAD_RUN(column + c);
% for i in corners:
% if wanted:
            dot_${i} += through * LOAD_RUN(image + corner_${i} + c);
% endif
% if needs_input:
            STORE_RUN(LOAD_RUN(grad_image + corner_${i} + c) + weight_${i} * through, grad_image + corner_${i} + c);
% endif
% endfor
        }
% if wanted:
% for i in corners:
        STORE_RUN(dot_${i}, dots + (${i} * VEC + lane) * WIDTH);
% endfor
% endif
    }
}

% if wanted:
/* The sums of VEC dots' WIDTH elements. */
static inline vec_t sum_dots(const acc_t *dots)
{
% if run_width == 1:
    return LOAD_VEC(0, dots);
% else:
    acc_t sums[VEC];
    for (int lane = 0; lane < VEC; lane += WIDTH) {
% for r in range(run_width):
        run_vec_t row_${r} = LOAD_RUN(dots + (lane + ${r}) * WIDTH);
% endfor
        ${vector.sum_rows(run_width)}
        STORE_RUN(row_0, sums + lane);
    }
    return LOAD_VEC(0, sums);
% endif
}

% for name in ("offset",) * needs_offset + ("mask",) * needs_mask:
/* To what a part's runs before have left, unless this is its first. */
static inline void store_${name}_lanes(__global ${small(name)} *p, index_t at, vec_t value, int lanes, int first)
{
% if added(name):
    if (lanes == VEC) {
        STORE_VEC(first ? value : value + LOAD_VEC(0, p + at), 0, p + at);
        return;
    }
% else:
    (void)first;
    if (lanes == VEC) {
        store_${name}_vec(p, at, value);
        return;
    }
% endif
    acc_t values[VEC];
    STORE_VEC(value, 0, values);
    for (int lane = 0; lane < lanes; ++lane)
% if added(name):
        p[at + lane] = first ? values[lane] : values[lane] + p[at + lane];
% else:
        store_${name}(p, at + lane, values[lane]);
% endif
}

% endfor
% endif
__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void backward_data_block(
    __global const data_t *grad_output,
% if wanted:
    __global const acc_t *last,
% endif
% if offset_groups:
    __global const offset_t *offset,
% endif
% if has_mask:
    __global const mask_t *mask,
% endif
    __global const acc_t *packed,
% if needs_input:
    __global acc_t *grad_last,
% endif
% if needs_offset:
    __global ${small("offset")} *grad_offset,
% endif
% if needs_mask:
    __global ${small("mask")} *grad_mask,
% endif
    __global acc_t *scratch,
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const int outside = height * width;
    const int blocks = (int)((pixels + TILE_PIXELS - 1) / TILE_PIXELS);
    const index_t run_size = (index_t)(outside + 1) * ROOM;
    __global acc_t *tile = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *column = tile + GROUP_OUT * TILE_PIXELS;

    const int tasks = batch * TASKS * BANDS, threads = (int)get_global_size(0);
    for (int turn = 0, task = (int)get_global_id(0); task < tasks; task = (int)get_global_id(0) + ++turn / TASK_CHUNKS * threads) {
        const int band = task % BANDS;
        const int n = task / BANDS / TASKS;
        const int first_run = (task / BANDS % TASKS * TASK_CHUNKS + turn % TASK_CHUNKS) * CHUNK_RUNS;
        const int group = first_run * RUN / GROUP_IN;
        const index_t image_run = n * (IN_CHANNELS / RUN) + first_run;
% if needs_input:
        __global acc_t *grad_image = grad_last + ((index_t)band * batch * (IN_CHANNELS / RUN) + image_run) * run_size;
        for (index_t j = 0; j < CHUNK_RUNS * run_size; ++j) grad_image[j] = ACC(0.0);
% endif
        __global const data_t *planes = grad_output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels;

        for (int block = (int)((long)blocks * band / BANDS); block < (int)((long)blocks * (band + 1) / BANDS); ++block) {
            const index_t first_pixel = (index_t)block * TILE_PIXELS;
            const int real_pixels = (int)min((index_t)TILE_PIXELS, pixels - first_pixel);
            int rows[TILE_PIXELS], columns[TILE_PIXELS];
            place_pixels(first_pixel, out_width, TILE_PIXELS, rows, columns);
% if narrow:
            load_grad_rows(planes + first_pixel, pixels, RUN, real_pixels, tile);
% else:
            load_grad_tile(planes + first_pixel, pixels, GROUP_OUT, GROUP_OUT, real_pixels, tile);
% endif
            for (int tap = 0; tap < TAPS; ++tap) {
% if narrow:
                multiply_narrow(tile, RUN, packed + ((index_t)first_run * TAPS + tap) * NARROW * RUN, column, RUN, real_pixels, 1, 0);
% else:
                __global const acc_t *w = packed + ((index_t)(first_run / CHUNK_RUNS) * TAPS + tap) * GROUP_OUT * COLUMNS;
                for (int c = 0; c < COLUMNS; c += TILE)
                    for (int p = 0; p < real_pixels; p += ITEM_ROWS)
                        multiply(tile + p, 1, TILE_PIXELS, w + c * GROUP_OUT, TILE, column + p * COLUMNS + c, COLUMNS, GROUP_OUT, 0);
% endif
                for (int r = 0; r < CHUNK_RUNS; ++r) {
% if offset_groups:
                    const int g = (first_run + r) * RUN / SAMPLE_CHANNELS;
% endif
                    for (int p = 0; p < real_pixels; p += VEC) {
                        const int lanes = min(VEC, real_pixels - p);
                        const sample_lanes_t s = ${samples.here("g")};
                        const vec_t scale = ${samples.scale("g")};
                        ${samples.fetch_next("g")}
                        samples_t samples;
                        keep_samples(&samples, s, scale, outside);
                        for (int i = 0; i < CORNERS; ++i) samples.weight[i].all = scale * corner_weight_lanes(s, i);
% if wanted:
                        acc_t dots[CORNERS * VEC * WIDTH];
                        for (int j = lanes * WIDTH; j < VEC * WIDTH; ++j)
                            for (int i = 0; i < CORNERS; ++i) dots[i * VEC * WIDTH + j] = ACC(0.0);
                        const int part = (first_run + r) / PART_RUNS % PARTS, first = (first_run + r) % PART_RUNS == 0;
                        const index_t at = ((index_t)part * batch * SAMPLE_GROUPS * TAPS + ENTRY(g)) * pixels;
                        /* where results will be, which lie as far apart as offsets do */
% endif
% if needs_offset:
                        FETCH(grad_offset + 2 * at + first_pixel + p);
                        FETCH(grad_offset + 2 * at + pixels + first_pixel + p);
% endif
% if needs_mask:
                        FETCH(grad_mask + at + first_pixel + p);
% endif
                        through_samples(
% if wanted:
                            last + (image_run + r) * run_size, dots,
% endif
% if needs_input:
                            grad_image + r * run_size,
% endif
                            &samples, lanes, column + p * COLUMNS + r * ROOM);
% if wanted:
                        vec_t dot[CORNERS];
                        for (int i = 0; i < CORNERS; ++i) dot[i] = sum_dots(dots + i * VEC * WIDTH);
% endif
% if needs_offset:
                        store_offset_lanes(grad_offset, 2 * at + first_pixel + p, scale * blend_dy_lanes(s, dot), lanes, first);
                        store_offset_lanes(grad_offset, 2 * at + pixels + first_pixel + p, scale * blend_dx_lanes(s, dot), lanes, first);
% endif
% if needs_mask:
                        store_mask_lanes(grad_mask, at + first_pixel + p, blend_lanes(s, dot), lanes, first);
% endif
                    }
                }
            }
        }
    }
}
