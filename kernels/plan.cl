/* What is known of a sample before any channel is read, for a ring: made once for all channels that share it. Needs sample and ring.
 *
 *     x: its cell's first corner, as a pixel of the ring;   y: the mask;   z, w: fractions along y and x
 *
 * With a replicated border, the last row and column count alone: their fraction is 0. */
#define plan_t ${"double4" if accumulator == "float64" else "float4"}
% if accumulator == "float64":
#define PIXEL_IN_PLAN(pixel) as_double((long)(pixel))
#define PLAN_PIXEL(plan) ((int)as_long((plan).x))
% else:
#define PIXEL_IN_PLAN(pixel) as_float(pixel)
#define PLAN_PIXEL(plan) as_int((plan).x)
% endif

% if offset_groups:
static inline plan_t plan_of(place_t at, acc_t scale, int n, int height, int width)
{
% if border == "replicate":
    const int inside = at.row >= 0 && at.row < height && at.column >= 0 && at.column < width;
    const acc_t fraction_y = at.row == height - 1 ? ACC(0.0) : at.fraction_y;
    const acc_t fraction_x = at.column == width - 1 ? ACC(0.0) : at.fraction_x;
    const int pixel = inside ? ring_pixel(n, at.row, at.column, height, width) : RING_OUTSIDE;
    return (plan_t)(PIXEL_IN_PLAN(pixel), scale, fraction_y, fraction_x);
% else:
    const int inside = at.row >= -1 && at.row < height && at.column >= -1 && at.column < width;
    const int pixel = inside ? ring_pixel(n, at.row, at.column, height, width) : RING_OUTSIDE;
    return (plan_t)(PIXEL_IN_PLAN(pixel), scale, at.fraction_y, at.fraction_x);
% endif
}
% else:
static inline plan_t plan_of(int row, int column, int n, int height, int width)
{
    const int inside = row >= 0 && row < height && column >= 0 && column < width;
    return (plan_t)(PIXEL_IN_PLAN(inside ? ring_pixel(n, row, column, height, width) : RING_OUTSIDE), ACC(1.0), ACC(0.0), ACC(0.0));
}
% endif

## The plan of tap `tap` at pixel (oy, ox) of image n, from its offsets and its mask; from the names that are in scope in the kernel.
<%def name="made(offset_y, offset_x, scale)">\
% if offset_groups:
plan_of(place(tap_row(oy, tap), tap_column(ox, tap), ${offset_y}, ${offset_x}), ${scale}, n, height, width)\
% else:
plan_of(tap_row(oy, tap), tap_column(ox, tap), n, height, width)\
% endif
</%def>\
## The same of sample group `group`.
<%def name="here(group)">\
${made("load_offset(offset, 2 * ENTRY(%s) * pixels + pixel)" % group, "load_offset(offset, (2 * ENTRY(%s) + 1) * pixels + pixel)" % group,
       "load_mask(mask, ENTRY(%s) * pixels + pixel)" % group if has_mask else "ACC(1.0)")}\
</%def>\
## The same where it lies in memory, if the forward leaves plans to the backward: kept_plans [N][OG][K][P].
<%def name="kept(group)">\
kept_plans[ENTRY(${group}) * pixels + pixel]\
</%def>\
## What plans come from, as parameters: offset and mask; if plans are left, the forward takes kept_plans too, the backward instead.
<%def name="operands(forward=False)">\
% if offset_groups and (forward or not planned):
    __global const offset_t *restrict offset,
% endif
% if has_mask and (forward or not planned):
    __global const mask_t *restrict mask,
% endif
% if planned:
    __global ${"" if forward else "const "}plan_t *restrict kept_plans,
% endif
</%def>\
## And as arguments.
<%def name="given(forward=False)">\
${"offset, " if offset_groups and (forward or not planned) else ""}${"mask, " if has_mask and (forward or not planned) else ""}\
${"kept_plans, " if planned else ""}\
</%def>\
