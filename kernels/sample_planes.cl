/* Samples of channels as the caller has them: VEC places in a plane [height][width] of data_t, for each channel of a run. Needs run,
 * sample, TILE_PIXELS.
 *
 * Corners in one row of the image are neighbours: one load of two elements brings both, and what of it isn't a corner is set to zero, so
 * that no neighbour's NaN comes near. A plane has two elements or more. */
<%include file="places.cl"/>
% if offset_groups:
#define ROWS 2
#define EACH 2
% else:
#define ROWS 1
#define EACH 1
% endif
/* Of ROWS rows of corners: EACH elements from `first` on for a place, and for each of these its weight, and whether it is a corner. */
typedef struct {
    int first[ROWS][VEC];
    lanes_t is_corner[ROWS][EACH];
    vec_t weight[ROWS][EACH];
    vec_t scale;
} samples_t;

<%
    pairs = bool(offset_groups)
    real, whole = ("double", "long") if accumulator == "float64" else ("float", "int")
    def alternate(a, b, first):
        return ", ".join("%s.s%x, %s.s%x" % (a, lane, b, lane) for lane in range(first, first + vec // 2))
    base, each = {"float32": ("ulong", 1), "float64": ("double", 2)}.get(dtype, ("uint", 1))
    def joined(values, width):
        """One vector, put together by twos: of all at once compilers make a row of shuffles, each of which waits for the one before."""
        if len(values) == 1:
            return values[0]
        return joined(["(%s%d)(%s, %s)" % (base, 2 * width, *two) for two in zip(values[::2], values[1::2])], 2 * width)
%>\
static inline void keep_samples(samples_t *samples, sample_lanes_t s, vec_t scale, int plane_size)
{
    samples->scale = scale;
% if pairs:
    for (int row = 0; row < ROWS; ++row) {
        const lanes_t left = s.corner[2 * row], right = s.corner[2 * row + 1];
        const vec_t weight_left = corner_weight_lanes(s, 2 * row), weight_right = corner_weight_lanes(s, 2 * row + 1);
        const vec_t none = left < 0 && right < 0 ? weight_left : (vec_t)(ACC(0.0)); /* NaN stays */
        const lanes_t first = clamp(left >= 0 ? left : right, (lanes_t)(0), (lanes_t)(plane_size - 2)), second = first + 1;
        vstore${vec}(convert_int${vec}(first), 0, samples->first[row]);
% for name in ("first", "second"):
        const lanes_t is_${name} = left == ${name} || right == ${name};
        const vec_t weight_${name} = (left == ${name} ? weight_left : none) + (right == ${name} ? weight_right : none);
% endfor
% for half in range(2):
        samples->is_corner[row][${half}] = (lanes_t)(${alternate("is_first", "is_second", half * vec // 2)});
        samples->weight[row][${half}] = (vec_t)(${alternate("weight_first", "weight_second", half * vec // 2)});
% endfor
    }
% else:
    (void)plane_size;
    vstore${vec}(convert_int${vec}(max(s.corner[0], (lanes_t)(0))), 0, samples->first[0]);
    samples->is_corner[0][0] = s.corner[0] >= 0;
    samples->weight[0][0] = corner_weight_lanes(s, 0);
% endif
}

% if pairs:
/* The two elements at p, as they lie. */
static inline ${base}${"" if each == 1 else each} load_pair(__global const data_t *p)
{
% if dtype == "float32":
    return as_ulong(vload2(0, p));
% elif dtype == "float64":
    return vload2(0, p);
% else:
    return as_uint(vload2(0, (__global const ushort *)p));
% endif
}

/* VEC / 2 pairs as numbers. */
static inline vec_t numbers(${base}${"" if vec * each == 2 else vec * each // 2} pairs)
{
% if dtype == "float16":
    return vload_half${vec}(0, (const half *)&pairs);
% elif dtype == "bfloat16":
    return as_float${vec}(convert_uint${vec}(as_ushort${vec}(pairs)) << 16);
% else:
    return as_${real}${vec}(pairs);
% endif
}

% endif
## channels[c][..] = scale * B at VEC places, for `count` channels, their planes and rows of the panel one after another. What as many
## from `next` on read at these places is fetched ahead, for one place of many: its neighbours' lies there too, or others fetch it.
<%def name="sampler(count)">\
static inline void sample_planes_${count}(
    const samples_t *samples, __global const data_t *plane, __global const data_t *next, index_t plane_size, __global acc_t *channels)
{
% for c in range(count):
    vec_t ${", ".join("sum_%d_%d" % (c, half) for half in range(2 if pairs else 1))};
% endfor
% for row in range(2 if pairs else 1):
    {
        const int *first = samples->first[${row}];
% for c in range(count):
% for lane in range(0, vec, {"float64": 4, "float32": 8}.get(dtype, 16)):
        FETCH(next + ${c} * plane_size + first[${lane}]);
% endfor
% endfor
% for half in range(2 if pairs else 1):
        {
            const lanes_t is_corner = samples->is_corner[${row}][${half}];
            const vec_t weight = samples->weight[${row}][${half}];
% for c in range(count):
<%
    lanes = range(half * vec // 2, (half + 1) * vec // 2) if pairs else range(vec)
    load = "load_pair(plane + %d * plane_size + first[%d])" if pairs else "load_data(plane, %d * plane_size + first[%d])"
    values = [load % (c, lane) for lane in lanes]
    together = "numbers(%s)" % joined(values, each) if pairs else "(vec_t)(%s)" % ", ".join(values)
%>\
            sum_${c}_${half} ${"+=" if row else "="} weight * as_${real}${vec}(as_${whole}${vec}(${together}) & is_corner);
% endfor
        }
% endfor
    }
% endfor
% for c in range(count):
<% value = "((vec_t)(sum_%d_0.even, sum_%d_1.even) + (vec_t)(sum_%d_0.odd, sum_%d_1.odd))" % (c, c, c, c) if pairs else "sum_%d_0" % c %>\
    STORE_VEC(samples->scale * ${value}, 0, channels + ${c} * TILE_PIXELS);
% endfor
}
</%def>\
${sampler(4)}
${sampler(1)}\
