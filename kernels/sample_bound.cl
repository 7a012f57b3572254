/* Magnitudes of a pixel and its right neighbour (see ring_last); and at most so large is a sample before its mask, from those of its cell's
 * upper and lower pixels. What has no weight doesn't count, however large: fmax passes over 0 times infinity, at both ends, for a fraction
 * may be rounded to 1. By 2**-11 more, for weights near 0 are rounded to up to twice what they are. Needs plan. */
static inline float left_of(uint pair) { return as_float(pair << 16); }
static inline float right_of(uint pair) { return as_float(pair & 0xffff0000u); }
static inline float between(float fraction, float low, float high)
{
    return fmax((1.0f - fraction) * low, 0.0f) + fmax(fraction * high, 0.0f);
}
static inline float sample_bound(plan_t plan, uint upper, uint lower)
{
    return 0x1.002p0f * between(plan.z, between(plan.w, left_of(upper), right_of(upper)), between(plan.w, left_of(lower), right_of(lower)));
}
