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
