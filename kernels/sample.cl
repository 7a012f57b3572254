/* One bilinear sample: which four pixels, with which weights, and when its offset's gradient counts.
 * Every border rule, gate and rule for NaN of this library stands here and nowhere else.
 *
 *     row = base + floor(offset), fraction = offset - floor(offset)         exact: base is an integer
 *     value = (1-fy)(1-fx) V00 + (1-fy) fx V01 + fy (1-fx) V10 + fy fx V11
 *
 * A corner outside the image has index -1 and counts as exactly 0, whatever it would be multiplied by.
 * An ordinary convolution's sample is one pixel: only V00, weight 1. */
typedef struct {
    index_t corner[4]; /* pixel in the image, row * width + column: 00, 01, 10, 11; -1 is outside */
    acc_t fraction_y;
    acc_t fraction_x;
    int counts_y; /* whether the gradient of the offset counts, per axis */
    int counts_x;
} sample_t;

static inline index_t pixel_or_outside(int row, int column, int height, int width)
{
    return row >= 0 && row < height && column >= 0 && column < width ? (index_t)row * width + column : -1;
}

% if offset_groups:
#define FAR_OUTSIDE (-(1 << 30))

/* The cell that base + offset falls into, and where in it. Positive guards: NaN fails them and never becomes an index. */
static inline int cell(int base, acc_t offset, acc_t *fraction)
{
    const acc_t down = floor(offset);
    const int near = down > ACC(-1073741824.0) && down < ACC(1073741824.0);
    *fraction = near ? offset - down : ACC(0.0);
    return near ? base + (int)down : FAR_OUTSIDE;
}

/* Where a sample lies, kept exact: cell and fraction along both axes. A NaN in one coordinate makes both unknown: far outside. */
typedef struct {
    int row;
    int column;
    acc_t fraction_y;
    acc_t fraction_x;
    int unknown;
} place_t;

static inline place_t place(int base_y, int base_x, acc_t offset_y, acc_t offset_x)
{
    place_t at;
    at.row = cell(base_y, offset_y, &at.fraction_y);
    at.column = cell(base_x, offset_x, &at.fraction_x);
    at.unknown = isnan(offset_y) || isnan(offset_x);
    if (at.unknown) {
        at.row = at.column = FAR_OUTSIDE;
        at.fraction_y = at.fraction_x = ${"(acc_t)NAN" if nonfinite == "propagate" else "ACC(0.0)"};
    }
    return at;
}

static inline sample_t locate(int base_y, int base_x, acc_t offset_y, acc_t offset_x, int height, int width)
{
    const place_t at = place(base_y, base_x, offset_y, offset_x);
    sample_t s;
    s.fraction_y = at.fraction_y;
    s.fraction_x = at.fraction_x;
% if border == "replicate":
    const int inside = at.row >= 0 && at.row < height && at.column >= 0 && at.column < width;
    const int next_row = inside ? min(at.row + 1, height - 1) : -1;
    const int next_column = min(at.column + 1, width - 1);
% else:
    const int next_row = at.row + 1;
    const int next_column = at.column + 1;
% endif
    s.corner[0] = pixel_or_outside(at.row, at.column, height, width);
    s.corner[1] = pixel_or_outside(${"inside ? at.row : -1" if border == "replicate" else "at.row"}, next_column, height, width);
    s.corner[2] = pixel_or_outside(next_row, at.column, height, width);
    s.corner[3] = pixel_or_outside(next_row, next_column, height, width);
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
    s.counts_y = s.counts_x = 1;
% endif
    return s;
}

/* The sample and its derivatives by its coordinates from its corners' values v; a derivative is 0 where the convention's gate is shut. */
static inline acc_t blend(sample_t s, const acc_t *v)
{
    const acc_t top = (ACC(1.0) - s.fraction_x) * v[0] + s.fraction_x * v[1];
    const acc_t bottom = (ACC(1.0) - s.fraction_x) * v[2] + s.fraction_x * v[3];
    return (ACC(1.0) - s.fraction_y) * top + s.fraction_y * bottom;
}

static inline acc_t blend_dy(sample_t s, const acc_t *v)
{
    return s.counts_y ? (ACC(1.0) - s.fraction_x) * (v[2] - v[0]) + s.fraction_x * (v[3] - v[1]) : ACC(0.0);
}

static inline acc_t blend_dx(sample_t s, const acc_t *v)
{
    return s.counts_x ? (ACC(1.0) - s.fraction_y) * (v[1] - v[0]) + s.fraction_y * (v[3] - v[2]) : ACC(0.0);
}

/* Weight of corner i, for what flows back to the image. */
static inline acc_t corner_weight(sample_t s, int i)
{
    const acc_t weight_y = i < 2 ? ACC(1.0) - s.fraction_y : s.fraction_y;
    const acc_t weight_x = i % 2 == 0 ? ACC(1.0) - s.fraction_x : s.fraction_x;
    return weight_y * weight_x;
}
#define CORNERS 4
% else:
static inline sample_t locate(int base_y, int base_x, int height, int width)
{
    sample_t s;
    s.corner[0] = pixel_or_outside(base_y, base_x, height, width);
    return s;
}

static inline acc_t blend(sample_t s, const acc_t *v) { (void)s; return v[0]; }
static inline acc_t corner_weight(sample_t s, int i) { (void)s; (void)i; return ACC(1.0); }
#define CORNERS 1
% endif

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
