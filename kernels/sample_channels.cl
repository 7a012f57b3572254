/* row[0 .. end - begin) = scale * B of channels [begin, end) at one place of a channels-last image, vectors of channels at a time.
 *
 * image [H * W + 1][C]: pixel `outside` = H * W is zeros. Needs VEC and vec_t of product. */
static inline void sample_channels(sample_t s, __global const acc_t *image, index_t outside, acc_t scale,
                                   int begin, int end, __global acc_t *row)
{
    __global const acc_t *corner[CORNERS];
    acc_t weight[CORNERS];
    for (int i = 0; i < CORNERS; ++i) {
        corner[i] = image + (s.corner[i] >= 0 ? s.corner[i] : outside) * IN_CHANNELS;
        weight[i] = corner_weight(s, i);
    }
    int c = begin;
    for (; c + VEC <= end; c += VEC) {
        vec_t value = weight[0] * LOAD_VEC(0, corner[0] + c);
        for (int i = 1; i < CORNERS; ++i) value += weight[i] * LOAD_VEC(0, corner[i] + c);
        STORE_VEC(scale * value, 0, row + c - begin);
    }
    for (; c < end; ++c) {
        acc_t value = weight[0] * corner[0][c];
        for (int i = 1; i < CORNERS; ++i) value += weight[i] * corner[i][c];
        row[c - begin] = scale * value;
    }
}
