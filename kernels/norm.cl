/* Norms of what is finite, whatever its magnitude; rather too large than too small. */
static inline float finite_size(float value) { return fabs(value) <= FLT_MAX ? fabs(value) : 0.0f; }

/* The norm of `count` numbers, from the sum of their squares and the largest magnitude. */
static inline float norm_of(float squares, float size, int count)
{
    if (size == 0.0f) return 0.0f;
    const float norm = squares > 0x1p-80f && squares < 0x1p120f ? sqrt(squares) : size * sqrt((float)count);
    return fmax(norm * 1.001f, FLT_MIN);
}
