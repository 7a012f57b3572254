/* Sums in fixed point, which add up to the same bits in any order. Needs types.
 *
 *     sum = total of rint(value * pixel_scale * channel_scale)        pixel_scale a power of two
 *
 * A column is at most the norm of its pixel's grad_output times that of its channel's weights (Cauchy and Schwarz): channel_scale is the
 * inverse of the latter (see fixed_weight), and pixel_scale comes from what reaches a pixel, see fixed_reach. A pixel has 8 bytes a channel, in
 * blocks of FIXED_BLOCK channels, ordered so that neighbours with four channels each add to numbers that lie together.
 *
 * Where few samples of each of a block's groups reach a pixel, its sums are integers of 32 bits, the block's one behind the other, two in each
 * number${"" if integers == "carry" else " of 64 bits, to which both are added at once"}: the scale is such that the magnitudes of all terms add up to less than 2**31. Else they have 64 bits, and each term less than 2**FIXED_BITS, which leaves
 * room for as many terms as an image has samples.
 *
 * What isn't finite has no place among integers: each channel has two bits besides, for what is or may be +infinity and -infinity; NaN sets
 * both. */
#define FIXED_BITS ${fixed_bits}
#define FIXED_BLOCK ${fixed_block}
#define FIXED_FIRST(c) ((c) / FIXED_BLOCK * FIXED_BLOCK)
#define FIXED_PLACE(c) (FIXED_BLOCK >= 4 ? FIXED_FIRST(c) + (c) % 4 * FIXED_QUADS + (c) / 4 % FIXED_QUADS : (c))
#define FIXED_QUADS ((FIXED_BLOCK + 3) / 4)
#define FIXED_PAIR(c) (FIXED_FIRST(c) + (FIXED_BLOCK >= 4 ? (c) % 4 / 2 * FIXED_QUADS + (c) / 4 % FIXED_QUADS : 0))
#define FIXED_MARKS ((IN_CHANNELS + 15) / 16)
#define FEW_WEIGHT ${few_weight}
#define WEIGHT_UNITS ${weight_units}
#define FEW_LEAST -6 /* the least exponent of pixel_scale with 32 bits */

static inline int fixed_exponent(float size) { return (int)(as_uint(size) >> 23) - 127; }

/* The exponent of pixel_scale with 32 bits; `most` and `weight` see fixed_reach. */
static inline int fixed_narrow(float most, uint weight)
{
    return most == 0.0f ? FEW_LEAST : 30 - fixed_exponent(most * ((float)weight * (1.015625f / WEIGHT_UNITS)));
}

/* Whether that is enough. */
static inline int fixed_suffices(float most, uint weight)
{
    const int scale = fixed_narrow(most, weight);
    return weight <= FEW_WEIGHT && most < 0x1p100f && scale >= FEW_LEAST && scale < FEW_LEAST + 128;
}

/* How sums at a pixel are kept, in one byte: with 32 bits, as the upper one says, the exponent of pixel_scale from FEW_LEAST on; else half of
 * it, an even one. */
static inline uchar fixed_way(float most, uint weight, int few)
{
    if (few) return (uchar)(128 + fixed_narrow(most, weight) - FEW_LEAST);
    return (uchar)((clamp(FIXED_BITS - 2 - fixed_exponent(most), -126, 126) + 126) / 2);
}
static inline int fixed_few(uint way) { return way >> 7; }
static inline float fixed_few_scale(uint way) { return as_float((way + (127 - 128 + FEW_LEAST)) << 23); }
static inline float fixed_scale(uint way) { return fixed_few(way) ? fixed_few_scale(way) : as_float((way * 2 + 1) << 23); }

/* Ways of a cell's four corners, from the first one's place on. */
static inline uchar4 fixed_corner_ways(__global const uchar *ways, int width) { return (uchar4)(ways[0], ways[1], ways[width + 1], ways[width + 2]); }

/* What the sum of channel c stands for, from its pixel's sums and marks. */
static inline float fixed_value(__global const ulong *sums, __global const uint *marks, int c, uint way, float channel_scale)
{
    const uint mark = marks[c / 16] >> 2 * (c % 16) & 3u;
    if (mark) return mark == 3u ? NAN : mark == 1u ? INFINITY : -INFINITY;
    float sum;
    if (fixed_few(way)) {
        const long pair = (long)sums[FIXED_PAIR(c)];
% if integers == "carry":
        const int first = 0;
% else:
        const int first = (int)pair;
% endif
        sum = convert_float_rte(c % 2 ? (int)((pair - first) >> 32) : (int)pair);
    } else {
        sum = convert_float_rte((long)sums[FIXED_PLACE(c)]);
    }
    return sum / channel_scale * as_float((254u << 23) - as_uint(fixed_scale(way)));
}
