## Samples that a forward leaves to the weight's pass: halves, times their pixel's scale for that chunk of channels, as a matrix unit's first
## factor (16 channels x 16 pixels) has them in registers. Pixels are in the order of strips; beyond the last are more of its samples.
##
##     kept_samples [G][CHUNKS][TAPS][SIXTEENS(N * P)][VEC / 2][2][32] of kept_t: at [..][m][r][KEPT_LANE(i, j)], of each part,
##     channels VEC * i + 2 * m and the next of a chunk, a word each, at pixels 8 * r + 2 * j and the next of 16, a half each
##     kept_scales [G][CHUNKS][N * P]: these scales, powers of two that bring all taps' samples below 2**15; NaN where no half can hold a
##     factor, and samples are NaN then. A sample far below that is exact to 2**-40 of it
##
## What both sides know of them. Eight lanes of the forward have whole lines, and lanes of the matrix unit's order different banks. Needs VEC.
<%def name="layout()">\
#define kept_t ${"uint4" if parts == 2 else "uint2"}
#define KEPT_LANE(i, j) ((j) * 8 + ((i) ^ ${"(j) * 2" if parts == 2 else "(j) / 2 * 4"}))
#define KEPT_AT(m, r) (((m) * 2 + (r)) * 32)
#define KEPT_SIXTEEN (VEC / 2 * 2 * 32)
#define SIXTEENS(pixels) (((pixels) + 8 * VEC - 1) / (8 * VEC) * (VEC / 2)) /* whole blocks of the weight's pass */
#define KEPT_UNIT(unit, pixels) ((index_t)(unit) * SIXTEENS(pixels) * KEPT_SIXTEEN) /* before chunk and tap `unit` */
</%def>\
## The buffers as parameters.
<%def name="operands(qualifier='', type='kept_t')">\
% if sampled:
    __global ${qualifier}${type} *restrict kept_samples,
    __global ${qualifier}float *restrict kept_scales,
% endif
</%def>\
