/* The power of two that brings `most` to [2**14, 2**15), as near as there is one, NaN if it isn't finite; and the inverse of such a power. */
static inline float scale_for(float most)
{
    return most <= FLT_MAX ? as_float((268u - clamp(as_uint(most) >> 23, 15u, 254u)) << 23) : NAN;
}
static inline float inverse(float scale) { return as_float((254u << 23) - as_uint(scale)); }
