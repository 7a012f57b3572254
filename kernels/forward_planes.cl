/* forward_planes: forward_block for layers that sample far fewer pixels than the input has: there a copy of it, channels innermost, would
 * take longer than the layer. It samples the input as the caller has it.
 *
 *     output[n, o, p] = bias[o] + sum over k = (run, tap, channel): panel[k][p] * packed[k][o]      panel = mask * B, made on the way
 *
 * input [N][C][H * W] of data_t; all else as in forward_block, but a panel is [CHUNK][TILE_PIXELS]. */
<%namespace name="samples" file="places.cl"/>\
<%namespace name="blocks" file="block_sums.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="vector.cl"/>
<%include file="run.cl"/>
<%include file="product.cl"/>
#define TILE_PIXELS ${tile_pixels}
<%include file="sample_planes.cl"/>
#define TILE_OUT TILE
#define PANEL (TILE_PIXELS * CHUNK)
<%include file="block_sums.cl"/>
__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void forward_planes(
    __global const data_t *input,
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
    const int plane_size = height * width;
${blocks.begin()}

        for (int group = 0; group < GROUPS; ++group) {
            start_sums(sums${", bias + group * GROUP_OUT" if has_bias else ""});
            for (int first = 0; first < PAIRS; first += CHUNK_PAIRS) {
                const int depth = PAIRS % CHUNK_PAIRS == 0 ? CHUNK : min(CHUNK_PAIRS, PAIRS - first) * ROOM;
                for (int j = 0; j < depth / ROOM; ++j) {
                    const int run = group * (GROUP_IN / RUN) + (first + j) / TAPS;
                    const int tap = (first + j) % TAPS;
                    samples_t samples[TILE_PIXELS / VEC];
                    for (int p = 0; p < real_pixels; p += VEC) {
                        const sample_lanes_t s = ${samples.here("run * RUN / SAMPLE_CHANNELS")};
                        keep_samples(samples + p / VEC, s, ${samples.scale("run * RUN / SAMPLE_CHANNELS")}, plane_size);
                    }
                    __global const data_t *planes = input + ((index_t)n * IN_CHANNELS + run * RUN) * plane_size;
                    __global acc_t *channels = panel + j * ROOM * TILE_PIXELS;
                    int c = 0;
% for count in (4, 1):
                    for (; c + ${count} <= RUN; c += ${count}) {
                        __global const data_t *plane = planes + (index_t)c * plane_size;
                        __global const data_t *next = planes + (index_t)min(c + ${count}, RUN - ${count}) * plane_size;
                        for (int p = 0; p < real_pixels; p += VEC)
                            sample_planes_${count}(samples + p / VEC, plane, next, plane_size, channels + c * TILE_PIXELS + p);
                    }
% endfor
                }
                for (int tile = 0; tile < TILES; ++tile) {
                    __global const acc_t *w = packed + (((index_t)group * TILES + tile) * DEPTH + first * ROOM) * TILE_OUT;
                    for (int p = 0; p < real_pixels; p += ITEM_ROWS)
                        multiply(panel + p, 1, TILE_PIXELS, w, TILE_OUT, sums + (tile * TILE_PIXELS + p) * TILE_OUT, TILE_OUT, depth, 1);
                }
            }
            store_sums(sums, output + ((index_t)n * OUT_CHANNELS + group * GROUP_OUT) * pixels + first_pixel, pixels, real_pixels);
        }
    }
}
