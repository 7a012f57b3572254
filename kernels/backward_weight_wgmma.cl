/* backward_weight_wgmma: the gradient of the weight as backward_weight_matrix makes it (see there for factors, their scales, and the
 * arguments), by Hopper's wgmma; bit-identical from run to run.
 *
 * A work-group takes its pieces block by block. A third of its work-items sample, the others multiply, and make the plans while the matrix
 * units are at work. While block b is multiplied, what was fetched of b + 1 becomes halves in local memory, and the corners of b + 2 are
 * fetched; plans of b + 3 are made from offsets that were fetched for it before, and those of b + 4 are fetched. All meet at a barrier
 * for each block.
 *
 * Local memory, in rings of blocks: plan [4][UNITS][BLOCK] (see plan); places [8][BLOCK]; most [8], the bits of a block's largest
 * sample; samples [2][PARTS][COLUMNS][BLOCK] and grads [2][PARTS][TILE_OUT][BLOCK] of halves, see weight_products_wgmma. */
<%
corners = 4 if offset_groups else 1
sets = units * block // 64
flying = 2 if dtype == "float32" and sets == 2 else 1  # sets of corners: as many as registers hold
%>\
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="run" file="weight_pieces.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="scale.cl"/>
<%include file="weight_tile.cl"/>
<%include file="grad_octets.cl"/>
<%include file="matrix_nvidia.cl"/>
<%include file="matrix_hopper.cl"/>
<%include file="weight_common.cl"/>
static inline void wait_for_copies(void) { asm volatile("cp.async.wait_all;" ::: "memory"); }
#define SAMPLE_ITEMS (ITEMS / 2)
#define SAMPLE_WARPS (SAMPLE_ITEMS / 32)
<%include file="weight_plans.cl"/>
<%include file="weight_products_wgmma.cl"/>
<%include file="weight_again.cl"/>
<%include file="weight_samples.cl"/>
<%include file="weight_copies.cl"/>
<%def name="read_operands(b)">\
read_operands(${plan.given()}places + (${b}) % 8 * BLOCK, first_unit, first_channel, out_height, out_width, &operands)\
</%def>\
<%def name="make_plans(b)">\
make_plans(&operands, largest, places + (${b}) % 8 * BLOCK, plan + (${b}) % 4 * PLAN, first_unit, height, width, &sizes)\
</%def>\
## `flying` sets are fetched before the first of them is sampled.
<%def name="fetch_pair(b, set_, pair)">\
fetch(ring, plan + (${b} + ${set_ // sets}) % 4 * PLAN, ${set_ % sets}, ${pair}, first_unit, first_channel, below, raw + ${set_ % flying * 4 * corners})\
</%def>\
## What was fetched of a set of block b into local memory, while another is fetched.
<%def name="sample_set(b, set_)">\
{
                    uint halves[PARTS * VEC * 2];
% for pair in range(2):
                    sample(raw + ${set_ % flying * 4 * corners}, plan + (${b}) % 4 * PLAN, places + (${b}) % 8 * BLOCK, scale, ${set_}, ${pair}, halves);
                    ${fetch_pair(b, set_ + flying, pair)};
                    keep_order();
% endfor
                    store_samples(halves, ${set_}, samples + (${b}) % 2 * SAMPLES);
                }\
</%def>\
__kernel __attribute__((reqd_work_group_size(${items * 3 // 2}, 1, 1)))
void backward_weight_wgmma(
    __global const data_t *restrict grad_output,
    __global const uint4 *restrict packed,
    __global const uint4 *restrict all_places,
    __global const data_t *restrict ring,
    __global const uint *restrict largest,
${plan.operands()}\
    __global float4 *restrict partial,
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[4 * PLAN];
    __local uint4 grads[2 * GRADS] __attribute__((aligned(1024))); /* for their octets change places by their addresses */
    __local uint4 samples[2 * SAMPLES];
    __local int4 places[8 * BLOCK];
    __local uint most[8];
    const int t = MY_ITEM;
    const int samples_ahead = (int)get_local_id(0) >= ITEMS;
    const long below = (long)(width + 1) * IN_CHANNELS;
${run.first()}\

    if (samples_ahead) {
${run.begin()}\
        const int first_channel = group * GROUP_IN;
            uint4 raw[${4 * flying * corners}];
            common_barrier();
% for set_ in range(flying):
            ${fetch_pair("0", set_, 0)};
            ${fetch_pair("0", set_, 1)};
% endfor
            float scale = block_scale(most[0]);
% for set_ in range(sets):
            ${sample_set("0", set_)}
% endfor
            for (int b = 0; b < count; ++b) {
                common_barrier();
                if (b + 1 == count) break;
                scale = block_scale(most[(b + 1) % 8]);
% for set_ in range(sets):
                ${sample_set("b + 1", set_)}
% endfor
            }
        }
    } else {
${run.begin()}\
        const int first_channel = group * GROUP_IN;
            const int tile_out = ${run.tile_out()};
            operands_t operands;
            sizes_t sizes;
            if (t < 8) most[t] = 0;
            for (int b = 0; b < 5; ++b) fetch_places(all_places, begin + b, last_block, group, places + b * BLOCK);
            fetch_grads(packed, begin * GROUPS + group, tile_out, grads);
            publish_copies();
            own_barrier(1);
            for (int b = 0; b < 3; ++b) {
                ${read_operands("b")};
                ${make_plans("b")};
                store_most(&sizes, most + b);
            }
            ${read_operands("3")};
            common_barrier();
            float total[4 * TOTAL_QUADS], sum[4 * TOTAL_QUADS];
            #pragma unroll
            for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = sum[i] = 0.0f;
            for (int b = 0; b < count; ++b) {
                wait_for_copies();
                common_barrier();
                see_written();
                if (b + 1 < count) { /* or copies would be on their way when the next run's begin */
                    fetch_grads(packed, (begin + b + 1) * GROUPS + group, tile_out, grads + (b + 1) % 2 * GRADS);
                    fetch_places(all_places, begin + b + 5, last_block, group, places + (b + 5) % 8 * BLOCK);
                }
                if (t == 0) most[(b + 4) % 8] = 0;
                begin_block(grads + b % 2 * GRADS, samples + b % 2 * SAMPLES, sum);
                ${make_plans("b + 3")};
                ${read_operands("b + 4")};
                sums_done(sum);
                const float size = as_float(most[b % 8]);
                if (size == 0.0f || (size >= LEAST && size <= MOST)) {
                    const float unscale = inverse(block_scale(most[b % 8]));
                    #pragma unroll
                    for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = fma(sum[i], unscale, total[i]);
                } else
                    add_again(grad_output, ring, plan + b % 4 * PLAN, ${"item_anew() % ITEMS" if wide else "t"},
                              (__local float *)(samples + b % 2 * SAMPLES), begin + b, end, group, tile_out, first_unit, (int)below,
                              out_height, out_width, total);
                store_most(&sizes, most + (b + 3) % 8);
            }
${run.store()}
        }
    }
}
