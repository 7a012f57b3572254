## Samples from what was fetched of their corners, as halves for a matrix unit. Needs plan, matrix_nvidia, VEC, PARTS.
<% corners = 4 if offset_groups else 1 %>\
<%def name="blended(corner, i, value)">\
v[${i}] = ${("fma(weight[%d], %s, v[%d])" % (corner, value, i)) if corner else "weight[0] * %s" % value};\
</%def>\
/* VEC channels of one sample from what was fetched of its corners. */
static inline void blend_corners(const uint4 *raw, plan_t p, float *v)
{
% if offset_groups:
    const float bottom = p.y * p.z, top = p.y - bottom;
    const float weight[4] = {top - top * p.w, top * p.w, bottom - bottom * p.w, bottom * p.w};
% else:
    const float weight[1] = {p.y};
% endif
% for corner in range(corners):
% for i in range(4):
% if dtype == "float32":
    ${blended(corner, i, "as_float(raw[%d].s%d)" % (corner, i))}
% else:
    const float2 pair_${corner}_${i} = widen(raw[${corner}].s${i});
    ${blended(corner, 2 * i, "pair_%d_%d.x" % (corner, i))}
    ${blended(corner, 2 * i + 1, "pair_%d_%d.y" % (corner, i))}
% endif
% endfor
% endfor
}

/* Two numbers in halves: their high parts, and with two parts what these leave. */
static inline void two_in_halves(float first, float second, uint *high, uint *low)
{
% if parts == 2:
    const float high_0 = as_float(as_uint(first) & 0xffffe000u), high_1 = as_float(as_uint(second) & 0xffffe000u);
    *high = two_halves(high_0, high_1);
    *low = two_halves(first - high_0, second - high_1);
% else:
    *high = two_halves(first, second);
    (void)low;
% endif
}

/* VEC channels of one sample in halves, the parts one after another. */
static inline void as_halves(const float *v, uint *halves)
{
    #pragma unroll
    for (int pair = 0; pair < VEC / 2; ++pair) two_in_halves(v[2 * pair], v[2 * pair + 1], halves + pair, halves + ${"VEC / 2 + " if parts == 2 else ""}pair);
}
