/* Adding to sums in fixed point, atomically. Needs fixed. */
% if integers == "khr":
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
% endif
static inline void fixed_add_word(__global ulong *sums, int c, float term)
{
    atomic_add((volatile __global int *)sums + FIXED_WORD(c), convert_int_rte(term));
}

static inline void fixed_add_long(__global ulong *sum, float term)
{
    const ulong whole = (ulong)convert_long_rte(term);
% if integers == "nvidia":
    asm volatile("red.global.add.u64 [%0], %1;" :: "l"(sum), "l"(whole) : "memory");
% elif integers == "khr":
    atom_add(sum, whole);
% else:
    volatile __global uint *words = (volatile __global uint *)sum;
    const uint low = (uint)whole;
    const uint carry = (uint)(atomic_add(words, low) + low) < low;
    atomic_add(words + 1, (uint)(whole >> 32) + carry);
% endif
}

/* Note what isn't finite, and leave 0 in its place. */
static inline float fixed_mark(__global uint *marks, int c, float value)
{
    if (fabs(value) <= FLT_MAX) return value;
    atomic_or(marks + c / 16, (isnan(value) ? 3u : value > 0.0f ? 1u : 2u) << 2 * (c % 16));
    return 0.0f;
}

/* Add a value to the sum of channel c of the pixel that has these sums and marks. */
static inline void fixed_add(__global ulong *sums, __global uint *marks, int c, float value, uint way, float channel_scale)
{
    const float term = fixed_mark(marks, c, value) * fixed_scale(way) * channel_scale;
    if (fixed_few(way)) fixed_add_word(sums, c, term);
    else fixed_add_long(sums + FIXED_PLACE(c), term);
}

/* Add values to the sums of channels c .. c + 4. */
static inline void fixed_add_quad(__global ulong *sums, __global uint *marks, int c, float4 values, uint way, float4 channel_scales)
{
% for q in range(4):
    fixed_add(sums, marks, c + ${q}, values.s${q}, way, channel_scales.s${q});
% endfor
}
