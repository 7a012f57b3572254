/* The way back of a quad of channels to sums in fixed point at its sample's corners. Needs fixed_add, planned_sample. */

/* One corner after the other, whatever the quad is and however its corners' sums are kept. */
static inline void fixed_add_each(__global ulong *sums, __global uint *marks, int c, plan_t its, uchar4 ways, float4 column, float4 scales, int width)
{
    const sample_t s = planned_sample(its, 0);
    #pragma unroll 1
    for (int corner = 0; corner < CORNERS; ++corner) {
        const index_t to = PLAN_PIXEL(its) + corner % 2 + corner / 2 * (width + 1);
        const uint way = as_uint(ways) >> 8 * corner & 255u;
        fixed_add_quad(sums + to * IN_CHANNELS, marks + to * FIXED_MARKS, c, its.y * corner_weight(s, corner) * column, way, scales);
    }
}

/* Add a column, of channels c .. c + 4, to all corners of its sample. */
static inline void fixed_add_corners(__global ulong *sums, __global uint *marks, int c, plan_t its, uchar4 ways, float4 column, float4 scales, int width)
{
    /* Most often few samples reach all corners, and everything is finite and far from the smallest numbers: as |scaled| is at most the norm of
     * the pixel's grad_output, `by` is finite then. */
    const float4 scaled = column * scales;
    const float size = fabs(scaled.s0) + fabs(scaled.s1) + fabs(scaled.s2) + fabs(scaled.s3);
    const uint few = ${"0x80808080u" if corners == 4 else "0x80u"};
    if ((as_uint(ways) & few) == few && size >= 0x1p-90f && fabs(its.y) * size <= FLT_MAX) {
        const sample_t s = planned_sample(its, 0);
        __global ulong *first = sums + (index_t)PLAN_PIXEL(its) * IN_CHANNELS;
% for corner in range(corners):
        fixed_add_words(first + ${("0", "IN_CHANNELS", "(index_t)(width + 1) * IN_CHANNELS", "(index_t)(width + 2) * IN_CHANNELS")[corner]}, c,
                        scaled * (its.y * corner_weight(s, ${corner}) * fixed_few_scale(ways.s${corner})));
% endfor
        return;
    }
    if (its.y * (fabs(column.s0) + fabs(column.s1) + fabs(column.s2) + fabs(column.s3)) == 0.0f) return;
    fixed_add_each(sums, marks, c, its, ways, column, scales, width);
}
