/* channels_first: channels-last images in acc_t back in the caller's order and type, the sum of several copies; channels_last's inverse.
 *
 *     image[n][c][q] = sum over copies b, in order: last[b][n][q][c]        last [COPIES][N][H * W + 1][ROOM], image [N][RUN][H * W]
 *
 * Work-item n * (H * W / BLOCK + 1) + i: pixels [i * BLOCK, (i + 1) * BLOCK) of image n, VEC x VEC elements at a time. */
<%namespace name="vector" file="vector.cl"/>\
<%include file="types.cl"/>
<%include file="vector.cl"/>
<%include file="run.cl"/>
#define BLOCK ${block}
#define COPIES ${copies}

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void channels_first(__global const acc_t *last, __global data_t *image, int batch, int pixels)
{
    const int blocks = pixels / BLOCK + 1;
    const int n = (int)(get_global_id(0) / blocks);
    if (n >= batch) return;
    const int first = (int)(get_global_id(0) % blocks) * BLOCK;
    const int end = min(first + BLOCK, pixels);
    const index_t copy = (index_t)batch * (pixels + 1) * ROOM;
    __global const acc_t *from = last + (index_t)n * (pixels + 1) * ROOM;
    __global data_t *to = image + (index_t)n * RUN * pixels;
    const int whole = first + (end - first) / VEC * VEC;
    int c = 0;
    for (; c + VEC <= RUN; c += VEC)
        for (int q = first; q < whole; q += VEC) {
            __global const acc_t *at = from + (index_t)q * ROOM + c;
% for r in range(vec):
            vec_t row_${r} = LOAD_VEC(0, at + ${r} * ROOM);
% endfor
            for (int b = 1; b < COPIES; ++b) {
                at += copy;
% for r in range(vec):
                row_${r} += LOAD_VEC(0, at + ${r} * ROOM);
% endfor
            }
            ${vector.transpose(vec)}
% for r in range(vec):
            store_data_vec(to, (index_t)(c + ${r}) * pixels + q, row_${r});
% endfor
        }
    for (int q = first; q < end; ++q)
        for (int left = q < whole ? c : 0; left < RUN; ++left) {
            acc_t sum = ACC(0.0);
            for (int b = 0; b < COPIES; ++b) sum += from[b * copy + (index_t)q * ROOM + left];
            store_data(to, (index_t)left * pixels + q, sum);
        }
}
