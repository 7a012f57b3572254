/* Sums in fixed point, which add up to the same bits in any order. Needs types.
 *
 *     sum = total of rint(value * pixel_scale * channel_scale)        pixel_scale = 2**(bits - e), channel_scale = 2**(-f - 2)
 *
 * e and f: exponents of the largest weight of a corner * |mask| * |grad_output| that reaches a pixel (see fixed_reach), and of the weights of
 * a channel (see fixed_weight), so |value| < 2**(e + f + 2) and |term| < 2**bits. A pixel has 8 bytes a channel, in blocks of FIXED_BLOCK channels.
 * Sums are integers of 64 bits, with bits = FIXED_BITS, which leaves room for as many terms as an image has samples; in
 * such an order that neighbours with four channels each add to integers that lie together.
% if pairs:
 * Where no more than 2**FEW_BITS samples of each of a block's groups reach a pixel, they are pairs of floats, for these are added four at once: whole
 * numbers of less than 24 bits, which floats add exactly; the high ones of a block, then the low ones, 2**-LOW_BITS each.
% endif
 *
 * What isn't finite has no place among integers: each channel has two bits besides, for what is or may be +infinity and -infinity; NaN sets
 * both. */
#define FIXED_BITS ${fixed_bits}
#define FIXED_BLOCK ${fixed_block}
#define FIXED_PLACE(c) (FIXED_BLOCK >= 4 ? (c) / FIXED_BLOCK * FIXED_BLOCK + (c) % 4 * FIXED_QUADS + (c) / 4 % FIXED_QUADS : (c))
#define FIXED_QUADS ((FIXED_BLOCK + 3) / 4)
#define FIXED_HIGH(c) ((c) / FIXED_BLOCK * 2 * FIXED_BLOCK + (c) % FIXED_BLOCK)
#define FIXED_MARKS ((IN_CHANNELS + 15) / 16)
#define FEW_BITS ${few_bits}
% if pairs:
#define HIGH_BITS (24 - FEW_BITS)
#define LOW_BITS (25 - FEW_BITS)
% endif

/* Of a power of two. */
static inline float fixed_inverse(float power) { return as_float((254u << 23) - as_uint(power)); }

/* How sums at a pixel are kept, in one byte: half of pixel_scale's exponent, an even one, and above it whether few samples reach the pixel.
 * `reach` and `count` see fixed_ways. */
static inline uchar fixed_way(uint reach, uint count)
{
    const int few = count <= 1u << FEW_BITS;
    const int bits = ${"few ? HIGH_BITS : " if pairs else ""}FIXED_BITS;
    return (uchar)((clamp(bits + 512 - (int)reach, -126, 126) + 126) / 2 + (few << 7));
}
static inline int fixed_few(uint way) { return way >> 7; }
static inline float fixed_scale(uint way) { return as_float((way % 128u * 2u + 1u) << 23); }

/* Ways of a cell's four corners, from the first one's place on. */
static inline uchar4 fixed_corner_ways(__global const uchar *ways, int width) { return (uchar4)(ways[0], ways[1], ways[width + 1], ways[width + 2]); }

/* What the sum of channel c stands for, from its pixel's sums and marks. */
static inline float fixed_value(__global const ulong *sums, __global const uint *marks, int c, uint way, float channel_scale)
{
    const uint mark = marks[c / 16] >> 2 * (c % 16) & 3u;
    if (mark) return mark == 3u ? NAN : mark == 1u ? INFINITY : -INFINITY;
    float sum;
% if pairs:
    __global const float *high = (__global const float *)sums + FIXED_HIGH(c);
    if (fixed_few(way)) sum = fma(high[FIXED_BLOCK], 1.0f / (1 << LOW_BITS), high[0]);
    else
% endif
        sum = convert_float_rte((long)sums[FIXED_PLACE(c)]);
    return sum * fixed_inverse(channel_scale) * fixed_inverse(fixed_scale(way));
}
