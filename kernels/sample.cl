/* One bilinear sample: which four pixels, with which weights, and when its offset's gradient counts.
 * Every border rule, gate and rule for NaN of this library stands here and nowhere else.
 *
 *     row = base + floor(offset), fraction = offset - floor(offset)         exact: base is an integer
 *     value = (1-fy)(1-fx) V00 + (1-fy) fx V01 + fy (1-fx) V10 + fy fx V11
 *
 * A corner outside the image has index -1 and counts as exactly 0, whatever it would be multiplied by.
 * An ordinary convolution's sample is one pixel: only V00, weight 1. */
## The sample and what is made of it, for one place; or for several at once in vectors, with the suffix _lanes behind each name.
<%def name="locating(lanes=1)">
<%
    long_ = lanes > 1 and accumulator == "float64"
    real = "acc_t" if lanes == 1 else ("double%d" if long_ else "float%d") % lanes
    whole = "int" if lanes == 1 else ("long%d" if long_ else "int%d") % lanes
    index = "index_t" if lanes == 1 else whole
    of = "" if lanes == 1 else "_lanes"
%>\
typedef struct {
    ${index} corner[4]; /* pixel in the image, row * width + column: 00, 01, 10, 11; -1 is outside */
    ${real} fraction_y;
    ${real} fraction_x;
    ${whole} counts_y; /* whether the gradient of the offset counts, per axis */
    ${whole} counts_x;
} sample${of}_t;

static inline ${index} pixel_or_outside${of}(${whole} row, ${whole} column, int height, int width)
{
    return as_u${whole}(row) < (uint)height && as_u${whole}(column) < (uint)width ? (${index})row * width + column : (${index})(-1);
}

% if offset_groups:
/* The cell that base + offset falls into, and where in it. Positive guards: NaN fails them and never becomes an index. */
static inline ${whole} cell${of}(${whole} base, ${real} offset, ${real} *fraction)
{
    const ${real} down = floor${of}(offset);
    const ${whole} near = down > ACC(-1073741824.0) && down < ACC(1073741824.0);
    *fraction = near ? offset - down : (${real})(ACC(0.0));
    return near ? base + convert_${whole}(down) : (${whole})(FAR_OUTSIDE);
}

/* Where a sample lies, kept exact: cell and fraction along both axes. A NaN in one coordinate makes both unknown: far outside. */
typedef struct {
    ${whole} row;
    ${whole} column;
    ${real} fraction_y;
    ${real} fraction_x;
    ${whole} unknown;
} place${of}_t;

static inline place${of}_t place${of}(${whole} base_y, ${whole} base_x, ${real} offset_y, ${real} offset_x)
{
    place${of}_t at;
    at.row = cell${of}(base_y, offset_y, &at.fraction_y);
    at.column = cell${of}(base_x, offset_x, &at.fraction_x);
    at.unknown = isnan(offset_y) || isnan(offset_x);
    at.row = at.unknown ? (${whole})(FAR_OUTSIDE) : at.row;
    at.column = at.unknown ? (${whole})(FAR_OUTSIDE) : at.column;
    at.fraction_y = at.unknown ? (${real})(${"(acc_t)NAN" if nonfinite == "propagate" else "ACC(0.0)"}) : at.fraction_y;
    at.fraction_x = at.unknown ? (${real})(${"(acc_t)NAN" if nonfinite == "propagate" else "ACC(0.0)"}) : at.fraction_x;
    return at;
}

static inline sample${of}_t locate${of}(${whole} base_y, ${whole} base_x, ${real} offset_y, ${real} offset_x, int height, int width)
{
    const place${of}_t at = place${of}(base_y, base_x, offset_y, offset_x);
    sample${of}_t s;
    s.fraction_y = at.fraction_y;
    s.fraction_x = at.fraction_x;
% if border == "replicate":
    const ${whole} inside = at.row >= 0 && at.row < height && at.column >= 0 && at.column < width;
    const ${whole} row = inside ? at.row : (${whole})(-1);
    const ${whole} next_row = inside ? min(at.row + 1, (${whole})(height - 1)) : (${whole})(-1);
    const ${whole} next_column = min(at.column + 1, (${whole})(width - 1));
% else:
    const ${whole} row = at.row;
    const ${whole} next_row = at.row + 1;
    const ${whole} next_column = at.column + 1;
% endif
    s.corner[0] = pixel_or_outside${of}(at.row, at.column, height, width);
    s.corner[1] = pixel_or_outside${of}(row, next_column, height, width);
    s.corner[2] = pixel_or_outside${of}(next_row, at.column, height, width);
    s.corner[3] = pixel_or_outside${of}(next_row, next_column, height, width);
% if gate == "axis":
    s.counts_y = at.unknown
              || ((at.row > -1 - PAD_TOP || (at.row == -1 - PAD_TOP && at.fraction_y > ACC(0.0))) && at.row < height + PAD_BOTTOM);
    s.counts_x = at.unknown
              || ((at.column > -1 - PAD_LEFT || (at.column == -1 - PAD_LEFT && at.fraction_x > ACC(0.0))) && at.column < width + PAD_RIGHT);
% elif gate == "both":
    s.counts_y = at.unknown
              || ((at.row > -1 || (at.row == -1 && at.fraction_y > ACC(0.0))) && at.row < height
                  && (at.column > -1 || (at.column == -1 && at.fraction_x > ACC(0.0))) && at.column < width);
    s.counts_x = s.counts_y;
% else:
    s.counts_y = s.counts_x = (${whole})(${1 if lanes == 1 else -1});
% endif
    return s;
}

/* The sample and its derivatives by its coordinates from its corners' values v; a derivative is 0 where the convention's gate is shut. */
static inline ${real} blend${of}(sample${of}_t s, const ${real} *v)
{
    const ${real} top = (ACC(1.0) - s.fraction_x) * v[0] + s.fraction_x * v[1];
    const ${real} bottom = (ACC(1.0) - s.fraction_x) * v[2] + s.fraction_x * v[3];
    return (ACC(1.0) - s.fraction_y) * top + s.fraction_y * bottom;
}

static inline ${real} blend_dy${of}(sample${of}_t s, const ${real} *v)
{
    return s.counts_y ? (ACC(1.0) - s.fraction_x) * (v[2] - v[0]) + s.fraction_x * (v[3] - v[1]) : (${real})(ACC(0.0));
}

static inline ${real} blend_dx${of}(sample${of}_t s, const ${real} *v)
{
    return s.counts_x ? (ACC(1.0) - s.fraction_y) * (v[1] - v[0]) + s.fraction_y * (v[3] - v[2]) : (${real})(ACC(0.0));
}

/* Weight of corner i, for what flows back to the image. */
static inline ${real} corner_weight${of}(sample${of}_t s, int i)
{
    const ${real} weight_y = i < 2 ? ACC(1.0) - s.fraction_y : s.fraction_y;
    const ${real} weight_x = i % 2 == 0 ? ACC(1.0) - s.fraction_x : s.fraction_x;
    return weight_y * weight_x;
}
% else:
static inline sample${of}_t locate${of}(${whole} base_y, ${whole} base_x, int height, int width)
{
    sample${of}_t s;
    s.corner[0] = pixel_or_outside${of}(base_y, base_x, height, width);
    return s;
}

static inline ${real} blend${of}(sample${of}_t s, const ${real} *v) { (void)s; return v[0]; }
static inline ${real} corner_weight${of}(sample${of}_t s, int i) { (void)s; (void)i; return (${real})(ACC(1.0)); }
% endif
</%def>\
#define CORNERS ${4 if offset_groups else 1}
#define FAR_OUTSIDE (-(1 << 30))
${locating()}
/* Values of the corners in one channel's plane [height][width]; 0 outside. */
static inline void gather(sample_t s, __global const data_t *plane, acc_t *v)
{
    for (int i = 0; i < CORNERS; ++i) v[i] = s.corner[i] >= 0 ? load_data(plane, s.corner[i]) : ACC(0.0);
}

static inline acc_t interpolate(sample_t s, __global const data_t *plane)
{
    acc_t v[CORNERS];
    gather(s, plane, v);
    return blend(s, v);
}

## The sample of tap `tap` at pixel (oy, ox) of image n, sample group `group`, from the names that are in scope in the kernel.
<%def name="here(group)">\
% if offset_groups:
locate(tap_row(oy, tap), tap_column(ox, tap),
       load_offset(offset, 2 * ENTRY(${group}) * pixels + pixel), load_offset(offset, (2 * ENTRY(${group}) + 1) * pixels + pixel),
       height, width)\
% else:
locate(tap_row(oy, tap), tap_column(ox, tap), height, width)\
% endif
</%def>\
/* Row of the mask (and pair of rows of the offset) for image n, sample group g, tap: [batch][SAMPLE_GROUPS][TAPS]. */
#define ENTRY(g) (((index_t)n * SAMPLE_GROUPS + (g)) * TAPS + tap)
