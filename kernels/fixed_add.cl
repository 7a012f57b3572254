/* Adding to sums in fixed point, atomically. Needs fixed and atomic. */
% if integers == "khr":
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
% endif
% if pairs:
#define ROUNDER 12582912.0f /* 1.5 * 2**23: adding it rounds to whole numbers */
% endif
static inline void fixed_add_integer(__global ulong *sum, float value)
{
    const ulong whole = (ulong)convert_long_rte(value);
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

/* Add a value to the sum of channel c of the pixel that has these sums and marks, which is kept as an integer. */
static inline void fixed_add(__global ulong *sums, __global uint *marks, int c, float value, uint way, float channel_scale)
{
    fixed_add_integer(sums + FIXED_PLACE(c), fixed_mark(marks, c, value) * fixed_scale(way) * channel_scale);
}

% if pairs:
/* Add four terms to sums that are pairs of floats. */
static inline void fixed_add_pairs(__global float *sums, float4 terms)
{
    const float4 high = (terms + ROUNDER) - ROUNDER;
    atomic_add_quad(sums, high);
    atomic_add_quad(sums + FIXED_BLOCK, ((terms - high) * (float)(1 << LOW_BITS) + ROUNDER) - ROUNDER);
}
% endif

/* Add values to the sums of channels c .. c + 4. */
static inline void fixed_add_quad(__global ulong *sums, __global uint *marks, int c, float4 values, uint way, float4 channel_scales)
{
    if (!all(isfinite(values)))
        values = (float4)(${", ".join("fixed_mark(marks, c + %d, values.s%d)" % (q, q) for q in range(4))});
    const float4 scaled = values * fixed_scale(way) * channel_scales;
% if pairs:
    if (fixed_few(way)) {
        fixed_add_pairs((__global float *)sums + FIXED_HIGH(c), scaled);
        return;
    }
% endif
% for q in range(4):
    fixed_add_integer(sums + FIXED_PLACE(c + ${q}), scaled.s${q});
% endfor
}
