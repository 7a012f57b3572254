## Samples that a forward leaves to the weight's pass: a row is a chunk of channels at one tap, 8 work-items' 16 bytes. Pixels are in the
## order of strips.
##
##     kept_samples [G][CHUNKS][TAPS][N * P][8]: of float32 the samples, of half types halves times their pixel's scale for that chunk
##     kept_scales [G][CHUNKS][N * P]: these scales, powers of two that bring all taps' samples below 2**15; NaN where no half can hold a
##     factor, and samples are NaN then
##
## What a work-item leaves of a row: samples v that are scaled, the scale, and the same samples as halves.
<%def name="row(v, scale, halves)">\
% if dtype == "float32":
as_uint4((float4)(${v}[0], ${v}[1], ${v}[2], ${v}[3]) * inverse(${scale}))\
% else:
(uint4)(${halves}[0], ${halves}[1], ${halves}[2], ${halves}[3])\
% endif
</%def>\
## The buffers as parameters.
<%def name="operands(qualifier='')">\
% if sampled:
    __global ${qualifier}uint4 *restrict kept_samples,
    __global ${qualifier}float *restrict kept_scales,
% endif
</%def>\
## And as arguments.
<%def name="given()">\
kept_samples, kept_scales, \
</%def>\
