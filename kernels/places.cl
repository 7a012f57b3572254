<%namespace name="sample" file="sample.cl"/>\
/* Where VEC pixels sample at one tap, worked out together. Needs sample and vector. */
#define lanes_t ${"long" if accumulator == "float64" else "int"}${vec}
#define CONVERT_LANES convert_${"long" if accumulator == "float64" else "int"}${vec}
${sample.locating(vec)}
/* Rows and columns of `count` pixels from `first` on, times the strides. */
static inline void place_pixels(index_t first, int out_width, int count, int *rows, int *columns)
{
    int oy = (int)(first / out_width), ox = (int)(first % out_width);
    for (int p = 0; p < count; ++p) {
        rows[p] = oy * STRIDE_Y;
        columns[p] = ox * STRIDE_X;
        ox = ox + 1 < out_width ? ox + 1 : 0;
        oy += ox == 0;
    }
}

% if offset_groups:
<%
    bits, real, least = ("long", "double", "0x0010000000000000L") if accumulator == "float64" else ("int", "float", "0x00800000")
%>\
/* Offsets beside zero, a denormal raised to the least normal number: where denormals count as zero, it would fall into another cell. */
static inline vec_t off_zero(vec_t offset)
{
    const lanes_t sign = as_${bits}${vec}(offset) & (lanes_t)(${bits.upper()}_MIN), size = as_${bits}${vec}(offset) ^ sign;
    return size > 0 && size < ${least} ? as_${real}${vec}(sign | ${least}) : offset;
}

% endif
% for name in ("offset",) * bool(offset_groups) + ("mask",) * bool(has_mask):
/* The operand at VEC pixels; where there are only `count`, the last one's value again. */
static inline vec_t load_${name}_lanes(__global const ${name}_t *p, index_t pixel, int count)
{
    if (count >= VEC) return load_${name}_vec(p, pixel);
    acc_t values[VEC];
    for (int lane = 0; lane < VEC; ++lane) values[lane] = load_${name}(p, pixel + min(lane, count - 1));
    return LOAD_VEC(0, values);
}

% endfor
/* Asks for memory that is read or written later: of one tap it lies far from the last one's, where no hardware looks ahead. OpenCL's own
 * prefetch is nothing on PoCL, which compiles for the host's processor: there the compiler has one. Others know no such thing. */
#if defined(__x86_64__) || defined(__aarch64__)
#define FETCH(p) __builtin_prefetch(p)
#else
#define FETCH(p) prefetch((__global const uchar *)(p), 64)
#endif
## Fetches what is read of an entry from a pixel on: as the next tap's, or the next sample group's first, at the same pixels; or as a block
## further of the same tap. Names as they are in the kernels.
<%def name="fetch_next(group)">${fetch("min(ENTRY(%s) + 1, (index_t)batch * SAMPLE_GROUPS * TAPS - 1)" % group, "first_pixel + p")}</%def>\
<%def name="fetch_ahead(group)">${fetch("ENTRY(%s)" % group, "min(first_pixel + p + TILE_PIXELS, pixels - 1)")}</%def>\
<%def name="fetch(entry, pixel)">\
% if offset_groups or has_mask:
{
    const index_t entry = ${entry}, pixel = ${pixel};
% if offset_groups:
    FETCH(offset + 2 * entry * pixels + pixel);
    FETCH(offset + (2 * entry + 1) * pixels + pixel);
% endif
% if has_mask:
    FETCH(mask + entry * pixels + pixel);
% endif
}
% endif
</%def>\
## The samples, and their masks, of tap `tap` of a sample group at a block's pixels from p on; names as they are in the kernels.
<%def name="here(group)">\
locate_lanes(CONVERT_LANES(LOAD_VEC(0, rows + p)) + tap_row(0, tap), CONVERT_LANES(LOAD_VEC(0, columns + p)) + tap_column(0, tap),
% if offset_groups:
             off_zero(load_offset_lanes(offset, 2 * ENTRY(${group}) * pixels + first_pixel + p, real_pixels - p)),
             off_zero(load_offset_lanes(offset, (2 * ENTRY(${group}) + 1) * pixels + first_pixel + p, real_pixels - p)),
% endif
             height, width)\
</%def>\
<%def name="scale(group)">${"load_mask_lanes(mask, ENTRY(%s) * pixels + first_pixel + p, real_pixels - p)" % group if has_mask else "(vec_t)(ACC(1.0))"}</%def>\
