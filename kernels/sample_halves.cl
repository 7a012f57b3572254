## A sample from what was fetched of its corners, as halves for a matrix unit. Needs plan, matrix_nvidia, VEC, PARTS.
<% corners = 4 if offset_groups else 1 %>\
<%def name="blended(corner, i, value)">\
v[${i}] = ${("fma(weight[%d], %s, v[%d])" % (corner, value, i)) if corner else "weight[0] * %s" % value};\
</%def>\
/* What was fetched of one row as samples in halves: VEC channels, the parts one after another. */
static inline void sample(const uint4 *raw, plan_t p, uint *halves)
{
    float v[VEC];
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
    #pragma unroll
    for (int pair = 0; pair < VEC / 2; ++pair) {
        const float first = v[2 * pair], second = v[2 * pair + 1];
% if parts == 2:
        const float high_0 = as_float(as_uint(first) & 0xffffe000u), high_1 = as_float(as_uint(second) & 0xffffe000u);
        halves[pair] = two_halves(high_0, high_1);
        halves[VEC / 2 + pair] = two_halves(first - high_0, second - high_1);
% else:
        halves[pair] = two_halves(first, second);
% endif
    }
}
