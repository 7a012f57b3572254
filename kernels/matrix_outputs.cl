## What becomes of sums of outputs, for the forward by matrix units; names as they are in the kernels.
##
## By NVIDIA's, of a tile's outputs at a team's pixels: total[4 * j + 2 * r + i] is output 8 * j + 2 * (lane % 4) + i at pixel row + 8 * r.
## Unscaled, the outputs by what the weight was scaled by and pixels by `rows`, if they are named, to the output, or to partial sums.
<%def name="store(rows)">\
% if splits > 1:
    __global float *result = partial + (index_t)get_group_id(2) * batch * OUT_CHANNELS * pixels, *to[2];
% else:
    __global data_t *result = output, *to[2];
    int doubt = 0;
% endif
    #pragma unroll
    for (int r = 0; r < 2; ++r) {
        const int4 where = places[row + 8 * r];
        to[r] = result + ((index_t)where.x * OUT_CHANNELS + group * GROUP_OUT) * pixels + (index_t)where.y * out_width + where.z;
    }
    #pragma unroll
    for (int j = 0; j < TILE_OUT / 8; ++j) {
        #pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int column = 8 * j + 2 * (lane % 4) + i;
            const int out = (int)get_group_id(1) % TILES * TILE_OUT + column;
            const float by = unscale[get_group_id(1) * TILE_OUT + column];
% if has_bias and splits == 1:
            const float shift = load_data(bias, group * GROUP_OUT + min(out, GROUP_OUT - 1));
% endif
            #pragma unroll
            for (int r = 0; r < 2; ++r) {
                if (row + 8 * r < real_pixels && out < GROUP_OUT) {
                    const float value = total[4 * j + 2 * r + i]${" * %s[r]" % rows if rows else ""} * by;
% if splits > 1:
                    to[r][(index_t)out * pixels] = value;
% else:
                    doubt |= !(fabs(value) <= FLT_MAX);
                    store_data(to[r], (index_t)out * pixels, value${" + shift" if has_bias else ""});
% endif
                }
            }
        }
    }
</%def>\
## Where an output isn't finite the whole tile once more.
<%def name="look_again()">\
    if (doubt) doubted[0] = 1;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (doubted[0])
        again(input, ${"offset, " if offset_groups else ""}${"mask, " if has_mask else ""}weight, ${"bias, " if has_bias else ""}output,
              batch, height, width, out_height, out_width);
</%def>\
