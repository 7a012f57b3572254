/* backward_weight_matrix: the gradient of the weight by matrix units, a product split over the pixels; bit-identical from run to run.
 *
 *     grad_weight[o, c, tap] = sum over pixels p of the batch: grad_output[o][p] * sample[p][c at tap]      sample = mask * B
 *
 * Both factors are halves, sums are float32. float32 data is cut in two halves, and three products (high x high, low x high, high x low)
 * give 22 bits. grad_output is scaled by a power of two of each pixel (see pack_grad_matrix), which comes back as a factor of the pixel's
 * mask; samples, with that factor, by one of their block, from the largest magnitudes at all pixels that it reads. A block of which that
 * isn't finite, as it also isn't where no half can hold a factor, is summed from float32 (see weight_again).
 *
 * ring [..][C] and largest [..] see ring_last; packed and places see pack_grad_matrix; offset [N][OG][K][2][P], mask [N][OG][K][P] and
 * grad_output [N][O][P] as the caller has them; partial [segments][TOTAL_QUADS][ITEMS] see weight_tile, which has the division of labour.
 *
 * A work-group takes its pieces block by block. Half of its work-items multiply, and copy the gradients of block b + 1 and the places of b + 5
 * while they do so with b's; the others sample, and are ahead: what was fetched of b + 1 becomes halves in local memory, and the corners of
 * b + 2 are fetched; plans of b + 3 are made from offsets that were fetched for it before, and those of b + 4 are fetched. Who samples copies
 * nothing in between, for NVIDIA's assembler lets copies wait for whatever else is on its way. Item t of these samples VEC channels of each
 * unit: 8 neighbours read one pixel's channels together. Both jobs meet at a barrier for each block.
 *
 * Local memory, in rings of blocks: plan [4][UNITS][PLANS][BLOCK] of the offset groups of a unit (see plan); places [8][BLOCK]; most [8],
 * the bits of a block's largest sample; samples [2][PARTS][BLOCK][COLUMNS] and grads [2][PARTS][TILE_OUT][BLOCK] of halves. */
<%
corners = 4 if offset_groups else 1
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
<%include file="weight_common.cl"/>

<%include file="weight_plans.cl"/>
<%include file="weight_products.cl"/>
<%include file="weight_again.cl"/>
<%include file="sample_halves.cl"/>
<%include file="weight_passes.cl"/>
/* What this lane samples of a unit: its first channel in the group, and where the unit's plans for it lie: by the lane alone where a unit holds
 * whole offset groups. */
static inline int unit_channel(int unit) { return min(unit, CHUNKS * TAPS - 1) / TAPS * UNIT + MY_ITEM % 8 * VEC; }
static inline int unit_plan(int first_channel, int unit)
{
    if (GROUP_IN % UNIT == 0 && UNIT % SAMPLE_CHANNELS == 0) return MY_ITEM % 8 * VEC / SAMPLE_CHANNELS * BLOCK;
    const int c = unit_channel(unit);
    return PLANS > 1 && c < GROUP_IN ? ((first_channel + c) / SAMPLE_CHANNELS - first_group(first_channel, min(unit, CHUNKS * TAPS - 1))) * BLOCK : 0;
}

/* Where in a block's plans this lane's of a pass is. */
static inline int pass_plan(int first_channel, int first_unit, int pass)
{
    return PASS_UNIT(pass) * PLANS * BLOCK + unit_plan(first_channel, first_unit + PASS_UNIT(pass)) + pass_pixel(pass);
}

/* Begin to fetch the corners of one pass, the first of which is `pixel`. */
static inline void fetch(
    __global const data_t *restrict ring, int pixel, int pass, int first_unit, int first_channel, int below, uint4 *raw)
{
    const int c = unit_channel(first_unit + PASS_UNIT(pass));
    __global const data_t *from = ring + (GROUP_IN % UNIT == 0 || c < GROUP_IN ? (index_t)pixel * IN_CHANNELS + first_channel + c : 0);
    (void)below; /* an ordinary convolution has one corner */
% for corner in range(corners):
    raw[${corner}] = load_now(from + ${("0", "IN_CHANNELS", "below", "below + IN_CHANNELS")[corner]});
% endfor
}

/* What was fetched as halves in local memory. */
static inline void store_samples(
    const uint4 *raw, __local const plan_t *plan, __local const int4 *places, float scale, int pass, int first_unit, int first_channel,
    __local uint4 *samples)
{
    plan_t p = plan[pass_plan(first_channel, first_unit, pass)];
    p.y = p.y * as_float(places[pass_pixel(pass)].w) * scale;
    float v[VEC];
    blend_corners(raw, p, v);
    store_halves(v, pass, samples);
}

<%def name="read_operands(b)">\
read_operands(${plan.given()}places + (${b}) % 8 * BLOCK, first_unit, first_channel, out_height, out_width, &operands)\
</%def>\
<%def name="make_plans(b)">\
make_plans(&operands, largest, places + (${b}) % 8 * BLOCK, plan + (${b}) % 4 * PLAN, first_unit, height, width, &sizes)\
</%def>\
<%def name="first_corner(b, pass_)">\
PLAN_PIXEL(plan[(${b}) % 4 * PLAN + pass_plan(first_channel, first_unit, ${pass_})])\
</%def>\
<%def name="fetch_pass(pixel, pass_)">\
fetch(ring, ${pixel}, ${pass_}, first_unit, first_channel, below, raw + (${pass_}) * ${corners})\
</%def>\
<%def name="store_pass(b, pass_)">\
store_samples(raw + (${pass_}) * ${corners}, plan + (${b}) % 4 * PLAN, places + (${b}) % 8 * BLOCK, scale, ${pass_},
                                      first_unit, first_channel, samples + (${b}) % 2 * SAMPLES)\
</%def>\
<%include file="weight_copies.cl"/>
__kernel __attribute__((reqd_work_group_size(2 * ITEMS, 1, 1)))
void backward_weight_matrix(
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
    __local uint4 samples[2 * SAMPLES];
    __local uint4 grads[2 * GRADS];
    __local int4 places[8 * BLOCK];
    __local uint most[8];
    const int t = MY_ITEM;
    const int samples_ahead = (int)get_local_id(0) >= ITEMS;
    const int below = (width + 1) * IN_CHANNELS;
${run.first()}\

    if (samples_ahead) {
${run.begin()}\
            const int first_channel = group * GROUP_IN;
            uint4 raw[PASSES * ${corners}];
            operands_t operands;
            sizes_t sizes;
            if (t < 8) most[t] = 0;
            for (int b = 0; b < 5; ++b) fetch_places(all_places, begin + b, last_block, group, places + b * BLOCK);
            publish_copies();
            own_barrier(1);
            for (int b = 0; b < 3; ++b) {
                ${read_operands("b")};
                ${make_plans("b")};
                store_most(&sizes, most + b);
            }
            ${read_operands("3")};
            own_barrier(1);
            #pragma unroll
            for (int pass = 0; pass < PASSES; ++pass) {
                const int first = ${first_corner("0", "pass")};
                ${fetch_pass("first", "pass")};
            }
            float scale = block_scale(most[0]);
            #pragma unroll
            for (int pass = 0; pass < PASSES; ++pass) {
                const int next = ${first_corner("1", "pass")};
                ${store_pass("0", "pass")};
                ${fetch_pass("next", "pass")};
            }
            for (int b = 0; b < count; ++b) {
                common_barrier();
                if (b + 1 == count) break;
                if (t == 0) most[(b + 4) % 8] = 0;
                ${make_plans("b + 3")};
                ${read_operands("b + 4")};
                scale = block_scale(most[(b + 1) % 8]);
                #pragma unroll
                for (int pass = 0; pass < PASSES; ++pass) {
                    const int next = ${first_corner("b + 2", "pass")}; /* before halves are stored: no compiler can exchange these */
                    ${store_pass("b + 1", "pass")};
                    ${fetch_pass("next", "pass")};
                    keep_order();
                }
                store_most(&sizes, most + (b + 3) % 8);
            }
        }
    } else {
${run.begin()}\
            const int tile_out = ${run.tile_out()};
            fetch_grads(packed, begin * GROUPS + group, tile_out, grads);
            float total[4 * TOTAL_QUADS];
            #pragma unroll
            for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = 0.0f;
            for (int b = 0; b < count; ++b) {
                publish_copies();
                common_barrier();
                if (b + 1 < count) { /* or copies would be on their way when the next run's begin */
                    fetch_grads(packed, (begin + b + 1) * GROUPS + group, tile_out, grads + (b + 1) % 2 * GRADS);
                    fetch_places(all_places, begin + b + 5, last_block, group, places + (b + 5) % 8 * BLOCK);
                }
                const float size = as_float(most[b % 8]);
                if (size == 0.0f || (size >= LEAST && size <= MOST))
                    multiply_block(grads + b % 2 * GRADS, samples + b % 2 * SAMPLES, inverse(block_scale(most[b % 8])), total);
                else
                    add_again(grad_output, ring, plan + b % 4 * PLAN, t, (__local float *)(samples + b % 2 * SAMPLES), begin + b, end, group,
                              tile_out, first_unit, below, out_height, out_width, total);
            }
${run.store()}
        }
    }
}
