/* At most so large is a sample before its mask, from the magnitudes of its cell's upper and lower pixels (see ring_last), whose low and high
 * bits are the left and right one as bfloat16. What has no weight doesn't count, however large: fmax passes over 0 times infinity. Needs plan. */
static inline float left_of(uint pair) { return as_float(pair << 16); }
static inline float right_of(uint pair) { return as_float(pair & 0xffff0000u); }
% if offset_groups:
static inline float weighted(float fraction, float low, float high) { return fmax((1.0f - fraction) * low, 0.0f) + fmax(fraction * high, 0.0f); }
% endif
static inline float sample_bound(plan_t plan, uint upper, uint lower)
{
% if offset_groups:
    return weighted(plan.z, weighted(plan.w, left_of(upper), right_of(upper)), weighted(plan.w, left_of(lower), right_of(lower)));
% else:
    (void)plan, (void)lower;
    return left_of(upper);
% endif
}
