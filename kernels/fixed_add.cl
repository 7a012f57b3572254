/* Adding to sums in fixed point, atomically. Needs fixed. */
% if integers == "khr":
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
% endif
static inline void fixed_add_bits(__global ulong *sum, ulong whole)
{
% if integers == "nvidia":
    asm volatile("red.global.add.u64 [%0], %1;" :: "l"(sum), "l"(whole)); /* nobody reads it in the same kernel */
% elif integers == "khr":
    atom_add(sum, whole);
% else:
    volatile __global uint *words = (volatile __global uint *)sum;
    const uint low = (uint)whole;
    const uint carry = (uint)(atomic_add(words, low) + low) < low;
    atomic_add(words + 1, (uint)(whole >> 32) + carry);
% endif
}

/* Add to a sum of 32 bits. */
static inline void fixed_add_word(__global ulong *sums, int c, float term)
{
% if integers == "carry":
    atomic_add((volatile __global int *)(sums + FIXED_PAIR(c)) + c % 2, convert_int_rte(term));
% else:
    fixed_add_bits(sums + FIXED_PAIR(c), (ulong)(long)convert_int_rte(term) << c % 2 * 32);
% endif
}

/* To those of channels c .. c + 4. */
static inline void fixed_add_words(__global ulong *sums, int c, float4 terms)
{
% if integers == "carry":
% for q in range(4):
    fixed_add_word(sums, c + ${q}, terms.s${q});
% endfor
% else:
    const int4 whole = convert_int4_rte(terms);
    fixed_add_bits(sums + FIXED_PAIR(c), ((ulong)(uint)whole.s1 << 32) + (ulong)(long)whole.s0);
    fixed_add_bits(sums + FIXED_PAIR(c + 2), ((ulong)(uint)whole.s3 << 32) + (ulong)(long)whole.s2);
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
    else fixed_add_bits(sums + FIXED_PLACE(c), (ulong)convert_long_rte(term));
}

/* Add values to the sums of channels c .. c + 4. */
static inline void fixed_add_quad(__global ulong *sums, __global uint *marks, int c, float4 values, uint way, float4 channel_scales)
{
% for q in range(4):
    fixed_add(sums, marks, c + ${q}, values.s${q}, way, channel_scales.s${q});
% endfor
}
