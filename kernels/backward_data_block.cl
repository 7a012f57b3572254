/* backward_data_block: the gradients of input, offset and mask for CPUs; no atomics, bit-identical from run to run.
 *
 *     column[p][c]            = sum over outputs o of c's group: grad_output[n, o, p] * packed[o][c]            at one tap
 *     dot[corner]             = sum over the chunk's channels c of a sample group: column[p][c] * V[corner][c]
 *     grad_mask               = blend(dot), grad_offset = mask * blend_dy(dot), mask * blend_dx(dot)
 *     grad_last[corner][c]   += mask * column[p][c] * (weight of corner)
 *
 * last, grad_last [N][H * W + 1][C] of acc_t, see channels_last: what falls outside the image is added to the pixel behind it.
 * packed of acc_t, see pack_weight_data; offset [N][G][K][2][P], mask [N][G][K][P], grad_output [N][O][P] as the caller has them.
 * grad_offset [PARTS][N][G][K][2][P] and grad_mask [PARTS][N][G][K][P]: where a sample group is cut into several chunks, each writes
 * its part, of acc_t, and the kernel reduce adds them in order; else they are the results.
 * scratch [work-items][SLICE] of acc_t: grad_output's tile [GROUP_OUT][TILE_PIXELS], column [TILE_PIXELS][COLUMN].
 *
 * A task is one image and one chunk of channels (see chunks): it owns these channels of grad_last, so its adds need no atomics.
 * A work-item is a thread and takes task after task; it walks over blocks of TILE_PIXELS pixels and all taps. */
<%namespace name="sample" file="sample.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="product.cl"/>
<%include file="chunks.cl"/>
#define TILE_PIXELS ${tile_pixels}
<%include file="grad_tile.cl"/>
#define CHUNK_TILES ((CHUNK + TILE - 1) / TILE)
#define COLUMN (CHUNK_TILES * TILE)
#define SLICE (TILE_PIXELS * (GROUP_OUT + COLUMN))
#define PARTS ${parts}

/* Which part of its sample group a chunk is; a chunk over whole groups is their only part. */
static inline int chunk_part(int chunk)
{
    return UNIT <= SAMPLE_CHANNELS ? chunk % (SAMPLE_CHANNELS / UNIT * UNIT_CHUNKS) : 0;
}

static inline acc_t vec_sum(vec_t v) { return ${" + ".join("v.s%x" % i for i in range(vec))}; }

/* One sample of channels [begin, end): dots its column with the corners and adds the column to the corners' gradients. */
static inline void back_through_sample(sample_t s, acc_t scale, __global const acc_t *column, int begin, int end, index_t outside,
                                       __global const acc_t *image, __global acc_t *grad_image, acc_t *dot)
{
    (void)image, (void)grad_image, (void)scale; /* not all gradients are asked for */
    for (int i = 0; i < CORNERS; ++i) {
        const index_t at = (s.corner[i] >= 0 ? s.corner[i] : outside) * IN_CHANNELS;
% if needs_input:
        const acc_t weight = scale * corner_weight(s, i);
% endif
        vec_t sum = (vec_t)(ACC(0.0));
        int c = begin;
        for (; c + VEC <= end; c += VEC) {
            const vec_t through = LOAD_VEC(0, column + c - begin);
% if needs_offset or needs_mask:
            sum += through * LOAD_VEC(0, image + at + c);
% endif
% if needs_input:
            STORE_VEC(LOAD_VEC(0, grad_image + at + c) + weight * through, 0, grad_image + at + c);
% endif
        }
        dot[i] = vec_sum(sum);
        for (; c < end; ++c) {
% if needs_offset or needs_mask:
            dot[i] += column[c - begin] * image[at + c];
% endif
% if needs_input:
            grad_image[at + c] += weight * column[c - begin];
% endif
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void backward_data_block(
    __global const data_t *grad_output,
% if needs_offset or needs_mask:
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
    __global ${"acc_t" if parts > 1 else "offset_t"} *grad_offset,
% endif
% if needs_mask:
    __global ${"acc_t" if parts > 1 else "mask_t"} *grad_mask,
% endif
    __global acc_t *scratch,
    int batch, int height, int width, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const index_t outside = (index_t)height * width;
    __global acc_t *tile = scratch + (index_t)get_global_id(0) * SLICE;
    __global acc_t *column = tile + GROUP_OUT * TILE_PIXELS;

    for (int task = (int)get_global_id(0); task < batch * CHUNKS; task += (int)get_global_size(0)) {
        const int n = task / CHUNKS;
        const int chunk = task % CHUNKS;
        const int begin = chunk_begin(chunk);
        const int end = chunk_end(chunk);
        const int group = begin / GROUP_IN;
% if needs_offset or needs_mask:
        __global const acc_t *image = last + (index_t)n * (outside + 1) * IN_CHANNELS;
        const index_t part = (index_t)chunk_part(chunk) * batch * SAMPLE_GROUPS * TAPS;
% endif
% if needs_input:
        __global acc_t *grad_image = grad_last + (index_t)n * (outside + 1) * IN_CHANNELS;
        for (index_t q = 0; q <= outside; ++q)
            for (int c = begin; c < end; ++c) grad_image[q * IN_CHANNELS + c] = ACC(0.0);
% endif
        __global const data_t *planes = grad_output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels;

        for (index_t first_pixel = 0; first_pixel < pixels; first_pixel += TILE_PIXELS) {
            const int real_pixels = (int)min((index_t)TILE_PIXELS, pixels - first_pixel);
            load_grad_tile(planes + first_pixel, pixels, GROUP_OUT, GROUP_OUT, real_pixels, tile);
            for (int tap = 0; tap < TAPS; ++tap) {
                __global const acc_t *w = packed + ((index_t)chunk * TAPS + tap) * CHUNK_TILES * GROUP_OUT * TILE;
                for (int i = 0; i < TILE_PIXELS * COLUMN; ++i) column[i] = ACC(0.0);
                for (int c = 0; c < CHUNK_TILES; ++c)
                    for (int p = 0; p < TILE_PIXELS; p += ITEM_ROWS)
                        multiply(tile + p, 1, TILE_PIXELS, w + c * GROUP_OUT * TILE, TILE, column + p * COLUMN + c * TILE, COLUMN, GROUP_OUT);
                for (int p = 0; p < real_pixels; ++p) {
                    const index_t pixel = first_pixel + p;
                    const int oy = (int)(pixel / out_width);
                    const int ox = (int)(pixel % out_width);
                    for (int g = begin / SAMPLE_CHANNELS; g <= (end - 1) / SAMPLE_CHANNELS; ++g) {
                        const int from = max(begin, g * SAMPLE_CHANNELS);
                        const sample_t s = ${sample.here("g")};
                        const acc_t scale = ${"load_mask(mask, ENTRY(g) * pixels + pixel)" if has_mask else "ACC(1.0)"};
                        acc_t dot[CORNERS];
                        back_through_sample(s, scale, column + p * COLUMN + from - begin, from, min(end, (g + 1) * SAMPLE_CHANNELS), outside,
                                            ${"image" if needs_offset or needs_mask else "0"}, ${"grad_image" if needs_input else "0"}, dot);
% if needs_offset:
                        const acc_t grad_y = scale * blend_dy(s, dot), grad_x = scale * blend_dx(s, dot);
                        const index_t at = 2 * (part + ENTRY(g)) * pixels + pixel;
% if parts > 1:
                        grad_offset[at] = grad_y;
                        grad_offset[at + pixels] = grad_x;
% else:
                        store_offset(grad_offset, at, grad_y);
                        store_offset(grad_offset, at + pixels, grad_x);
% endif
% endif
% if needs_mask:
% if parts > 1:
                        grad_mask[(part + ENTRY(g)) * pixels + pixel] = blend(s, dot);
% else:
                        store_mask(grad_mask, (part + ENTRY(g)) * pixels + pixel, blend(s, dot));
% endif
% endif
                    }
                }
            }
        }
    }
}
