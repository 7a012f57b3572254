## sum[i] = bias + sum over taps, channels: weight * mask * B, for `outs` outputs from first_out on at one pixel, from NCHW operands as the
## caller has them; beyond the last, the last again. From the names that are in scope in the kernel.
<%namespace name="sample" file="sample.cl"/>\
<%def name="sums()">\
for (int i = 0; i < ITEM_OUT; ++i) sum[i] = ${"load_data(bias, first_out + min(i, outs - 1))" if has_bias else "ACC(0.0)"};
    for (int tap = 0; tap < TAPS; ++tap) {
        for (int g = first_channel / SAMPLE_CHANNELS; g <= (first_channel + GROUP_IN - 1) / SAMPLE_CHANNELS; ++g) {
            const sample_t s = ${sample.here("g")};
% if has_mask:
            const acc_t scale = load_mask(mask, ENTRY(g) * pixels + pixel);
% endif
            const int end = min(first_channel + GROUP_IN, (g + 1) * SAMPLE_CHANNELS);
            for (int c = max(first_channel, g * SAMPLE_CHANNELS); c < end; ++c) {
                const acc_t value = ${"scale * " if has_mask else ""}interpolate(s, input + ((index_t)n * IN_CHANNELS + c) * height * width);
                for (int i = 0; i < ITEM_OUT; ++i) {
                    const index_t out = first_out + min(i, outs - 1);
                    sum[i] += value * load_data(weight, (out * GROUP_IN + c - first_channel) * TAPS + tap);
                }
            }
        }
    }\
</%def>\
