/* backward_weight_wgmma: the gradient of the weight as backward_weight_matrix makes it (see there for factors, their scales, and the
 * arguments), by Hopper's wgmma; bit-identical from run to run.
 *
 * A work-group takes its pieces block by block. A third of its work-items sample, the others multiply, and make the plans while the matrix
 * units are at work. While block b is multiplied, what was fetched of b + 1 becomes halves in local memory, and the corners of b + 2 are
 * fetched; plans of b + 3 are made from offsets that were fetched for it before, and those of b + 4 are fetched. All meet at a barrier
 * for each block.
% if sampled:
 * Here the forward has left the samples, kept_samples and kept_scales (see there), and they are fetched in place of corners; in place of
 * plans are the factors by which they become halves. offset and mask are for blocks whose factors halves can't hold.
% endif
 *
 * Local memory, in rings of blocks: ${"factors [4][UNITS][BLOCK]" if sampled else "plan [4][UNITS][BLOCK] (see plan)"}; places [8][BLOCK]; most [8], the bits of a block's largest
 * sample; samples [2][PARTS][COLUMNS][BLOCK] and grads [2][PARTS][TILE_OUT][BLOCK] of halves, see weight_products_wgmma. */
<%
corners = 4 if offset_groups else 1
sets = units * block // 64
flying, rows_flying = 2 if dtype == "float32" and sets == 2 else 1, 4  # sets of corners, or of samples: as many as registers hold
%>\
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="run" file="weight_pieces.cl"/>\
<%namespace name="kept" file="kept_samples.cl"/>\
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
/* Copies of this work-item are there. What any wrote before the barrier the matrix units see from here on: said here, not where it was
 * written, it waits for nothing that was fetched since. */
static inline void wait_for_copies(void) { asm volatile("cp.async.wait_all;" ::: "memory"); }
static inline void see_written(void) { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#define SAMPLE_ITEMS (ITEMS / 2)
#define SAMPLE_WARPS (SAMPLE_ITEMS / 32)
% if sampled:
<%include file="weight_scales.cl"/>
% else:
<%include file="weight_plans.cl"/>
% endif
<%include file="weight_products_wgmma.cl"/>
<%include file="weight_again.cl"/>
<%include file="weight_samples.cl"/>
<%include file="weight_copies.cl"/>
<%def name="read_operands(b)">\
% if sampled:
read_scales(kept_scales, group, first_unit, begin + (${b}), end, &operands)\
% else:
read_operands(${plan.given()}places + (${b}) % 8 * BLOCK, first_unit, first_channel, out_height, out_width, &operands)\
% endif
</%def>\
<%def name="make_plans(b)">\
% if sampled:
make_factors(&operands, places + (${b}) % 8 * BLOCK, factors + (${b}) % 4 * (SCALED / 4), &sizes)\
% else:
make_plans(&operands, largest, places + (${b}) % 8 * BLOCK, plan + (${b}) % 4 * PLAN, first_unit, height, width, &sizes)\
% endif
</%def>\
## What was fetched of block b becomes halves, while others are fetched; `turn` is b's place among the blocks that are in registers.
<%def name="bring(b, turn)">\
{
                const float scale = block_scale(most[(${b}) % 8]);
% for set_ in range(sets):
<% raw = "raw + %d" % ((turn * sets + set_) % rows_flying * 4) %>\
                {
                    uint halves[PARTS * VEC * 2];
                    const float4 by = factors[((${b}) % 4 * SCALED + set_unit(${set_}) * BLOCK + set_pixel(${set_})) / 4] * scale;
% for pair in range(2):
                    sample(${raw}, by.${("lo", "hi")[pair]}, ${pair}, halves);
                    fetch(rows[${set_}], ${set_}, ${pair}, begin + ${b} + ${rows_flying // sets}, end, ${raw});
                    keep_order();
% endfor
                    store_samples(halves, ${set_}, samples + (${b}) % 2 * SAMPLES);
                }
% endfor
            }\
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
% if sampled:
${kept.operands("const ")}\
% else:
    __global const float *restrict largest,
% endif
${plan.operands()}\
    __global float4 *restrict partial,
    int batch, int height, int width, int out_height, int out_width)
{
% if sampled:
    __local float4 factors[4 * SCALED / 4];
% else:
    __local plan_t plan[4 * PLAN];
% endif
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
% if sampled:
            __global const uint4 *rows[${sets}];
            uint4 raw[${4 * rows_flying}];
% for set_ in range(sets):
            rows[${set_}] = kept_samples + (index_t)(group * CHUNKS * TAPS + min(first_unit + set_unit(${set_}), CHUNKS * TAPS - 1)) * end * 8 + t % 8;
% endfor
% for flying_ in range(rows_flying):
% for pair in range(2):
            fetch(rows[${flying_ % sets}], ${flying_ % sets}, ${pair}, begin + ${flying_ // sets}, end, raw + ${4 * flying_});
% endfor
% endfor
            common_barrier();
            ${bring("0", 0)}
            for (int b = 0; b < count; b += ${rows_flying // sets}) {
% for turn in range(rows_flying // sets):
                common_barrier();
                if (b + ${turn + 1} >= count) break;
                ${bring("b + %d" % (turn + 1), (turn + 1) % (rows_flying // sets))}
% endfor
            }
% else:
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
% endif
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
                if (b + 1 < count) fetch_grads(packed, (begin + b + 1) * GROUPS + group, tile_out, grads + (b + 1) % 2 * GRADS);
                fetch_places(all_places, begin + b + 5, last_block, group, places + (b + 5) % 8 * BLOCK);
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
                    add_again(grad_output, ring, ${plan.given() + "height, width" if sampled else "plan + b % 4 * PLAN"}, (__local float *)(samples + b % 2 * SAMPLES), begin + b, end, group,
                              tile_out, first_unit, (int)below, out_height, out_width, total);
                store_most(&sizes, most + (b + 3) % 8);
            }
${run.store()}
        }
    }
}
