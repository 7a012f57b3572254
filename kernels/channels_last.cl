/* channels_last: images with their channels innermost, in acc_t, behind each image one pixel of zeros. The caller makes an image of each
 * run of channels, see run.
 *
 *     last[n][q][c] = input[n][c][q]   for pixels q < H * W and channels c < RUN, else 0; samples outside the image point to pixel H * W
 *
 * input [N][RUN][H * W], last [N][H * W + 1][ROOM].
 * Work-item n * (H * W / BLOCK + 1) + i: pixels [i * BLOCK, (i + 1) * BLOCK) of image n, VEC x VEC elements at a time. */
<%namespace name="vector" file="vector.cl"/>\
<%include file="types.cl"/>
<%include file="vector.cl"/>
<%include file="run.cl"/>
#define BLOCK ${block}

__kernel __attribute__((reqd_work_group_size(1, 1, 1), vec_type_hint(float4)))
void channels_last(__global const data_t *input, __global acc_t *last, int batch, int pixels)
{
    const int blocks = pixels / BLOCK + 1;
    const int n = (int)(get_global_id(0) / blocks);
    if (n >= batch) return;
    const int first = (int)(get_global_id(0) % blocks) * BLOCK;
    const int end = min(first + BLOCK, pixels);
    __global const data_t *from = input + (index_t)n * RUN * pixels;
    __global acc_t *to = last + (index_t)n * ROOM * (pixels + 1);
    const int whole = first + (end - first) / VEC * VEC;
    int c = 0;
    for (; c + VEC <= RUN; c += VEC)
        for (int q = first; q < whole; q += VEC) {
% for r in range(vec):
            vec_t row_${r} = load_data_vec(from, (index_t)(c + ${r}) * pixels + q);
% endfor
            ${vector.transpose(vec)}
% for r in range(vec):
            STORE_VEC(row_${r}, 0, to + (index_t)(q + ${r}) * ROOM + c);
% endfor
        }
    for (int q = first; q < end; ++q)
        for (int left = q < whole ? c : 0; left < ROOM; ++left)
            to[(index_t)q * ROOM + left] = left < RUN ? load_data(from, (index_t)left * pixels + q) : ACC(0.0);
    if (end == pixels)
        for (int left = 0; left < ROOM; ++left) to[(index_t)pixels * ROOM + left] = ACC(0.0);
}
