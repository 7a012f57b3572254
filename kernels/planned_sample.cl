## Also what kernels do with plans, gates and dots, from the names that are in scope there.
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="sample" file="sample.cl"/>\
/* The way back through a sample that has been planned (see plan); sums over four channels. Needs sample, plan, quads or ring_vector. */
static inline acc_t dot_quad(quad_t a, quad_t b) { return a.s0 * b.s0 + a.s1 * b.s1 + a.s2 * b.s2 + a.s3 * b.s3; }

/* What the sample functions want of a plan. */
static inline sample_t planned_sample(plan_t p, int gates)
{
    sample_t s;
    s.corner[0] = PLAN_PIXEL(p);
% if offset_groups:
    s.fraction_y = p.z;
    s.fraction_x = p.w;
    s.counts_y = gates & 1;
    s.counts_x = gates >> 1;
% endif
    (void)gates;
    return s;
}

## Entry `at` of plan, and of gates where they are needed: sample group g at tap `tap`, of offsets that are given, or are read here.
<%def name="make(at, y=None, x=None, scale=None)">\
{
% if offset_groups and (needs_offset or needs_mask):
                const sample_t made = ${sample.here("g") if y is None else "locate(tap_row(oy, tap), tap_column(ox, tap), %s, %s, height, width)" % (y, x)};
                gates[${at}] = (uchar)((made.counts_y ? 1 : 0) | (made.counts_x ? 2 : 0));
% endif
                plan[${at}] = ${plan.here("g") if y is None else plan.made(y, x, scale if has_mask else "ACC(1.0)")};
            }\
</%def>\
## The same as the forward left it, copied without waiting; it leaves plans where all gates are open.
<%def name="take(at)">copy_ahead((__local uint4 *)plan + ${at}, (__global const uint4 *)&${plan.kept("g")});</%def>\
<%def name="gates(at)">${"3" if planned else "gates[%s]" % at}</%def>\
## The gradients of offset and mask of sample group g at tap `tap`, where the sample is s, times `scale`, from the dots of its corners.
<%def name="store_gradients(scale, dot)">\
{
% if needs_offset:
                store_offset(grad_offset, 2 * ENTRY(g) * pixels + pixel, ${scale} * blend_dy(s, ${dot}));
                store_offset(grad_offset, (2 * ENTRY(g) + 1) * pixels + pixel, ${scale} * blend_dx(s, ${dot}));
% endif
% if needs_mask:
                store_mask(grad_mask, ENTRY(g) * pixels + pixel, blend(s, ${dot}));
% endif
            }\
</%def>\
