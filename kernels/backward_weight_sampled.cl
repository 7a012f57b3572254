/* backward_weight_sampled: the gradient of the weight as backward_weight_matrix makes it by mma (see there for factors, their scales, and the
 * arguments), from samples that the forward left; bit-identical from run to run.
 *
 * kept_samples and kept_scales see there. offset and mask are for blocks whose factors halves can't hold.
 *
 * A work-group takes its pieces block by block. Half of its work-items multiply; the others are ahead: while block b is multiplied, what was
 * fetched of b + 1 becomes halves in local memory, once all know the largest of them, samples of b + 2 are on their way, those of b + 3 are
 * fetched, and gradients of b + 2. Both jobs meet at a barrier for each block.
 *
 * Local memory, in rings of blocks: places [4][BLOCK]; most [4], the bits of a block's largest sample; samples [2][PARTS][BLOCK][COLUMNS] and
 * grads [3][PARTS][TILE_OUT][BLOCK] of halves. */
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
<%include file="weight_common.cl"/>
<%include file="weight_products.cl"/>
<%include file="weight_again.cl"/>
<%include file="sample_halves.cl"/>
<%include file="weight_passes.cl"/>
<%include file="weight_copies.cl"/>
/* What was fetched of a pass: 16 bytes of samples; of half types the bits of their scale. */
typedef struct {
    uint4 row;
% if dtype != "float32":
    uint scale;
% endif
} raw_t;

/* Begin to fetch a pass; pixels beyond the last have the last's samples. */
static inline raw_t fetch(
${kept.operands("const ")}\
    int pass, int group, int first_unit, index_t block, index_t end)
{
    const int unit = min(first_unit + PASS_UNIT(pass), CHUNKS * TAPS - 1);
    const index_t pixel = min(block * BLOCK + pass_pixel(pass), end - 1);
    raw_t raw;
    raw.row = load_now(kept_samples + ((group * CHUNKS * TAPS + unit) * end + pixel) * 8 + MY_ITEM % 8);
% if dtype != "float32":
    raw.scale = begin_largest(kept_scales + (group * CHUNKS + unit / TAPS) * end + pixel);
% endif
    return raw;
}

/* By what a pixel's gradients were divided; pixels beyond the last count for nothing. */
static inline float factor_of(__local const int4 *places, int pass)
{
    const int4 where = places[pass_pixel(pass)];
    return where.x < 0 ? 0.0f : as_float(where.w);
}

/* What undoes the scale of what was fetched. */
static inline float unscale_of(raw_t raw)
{
    (void)raw;
    return ${"1.0f" if dtype == "float32" else "inverse(begun_largest(raw.scale))"};
}

/* The largest magnitude of what was fetched, or what isn't finite, whose bits are larger. */
static inline float largest_of(raw_t raw)
{
% if dtype == "float32":
    const uint4 bits = raw.row & 0x7fffffffu;
    return as_float(max(max(bits.s0, bits.s1), max(bits.s2, bits.s3)));
% else:
    const ushort8 bits = as_ushort8(raw.row & 0x7fff7fffu);
    const ushort4 of_4 = max(bits.lo, bits.hi);
    const ushort2 of_2 = max(of_4.lo, of_4.hi);
    return of_two_halves(max(of_2.x, of_2.y)).x * unscale_of(raw);
% endif
}

/* The largest magnitude of a block's samples, times their pixels' factors; infinite where that is in doubt. */
static inline void store_most(const raw_t *raw, __local const int4 *places, __local uint *most)
{
    float size = 0.0f;
    #pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
        const float largest = largest_of(raw[pass]), factor = factor_of(places, pass);
        const int holds = factor <= LARGEST_FACTOR && factor * unscale_of(raw[pass]) <= LARGEST_FACTOR && largest <= LARGEST_SAMPLE;
        size = fmax(size, holds ? factor * largest : INFINITY);
    }
    const uint bits = largest_of_warp(as_uint(size));
    if (MY_ITEM % 32 == 0) atomic_max(most, bits);
}

/* A pass as halves in local memory. */
static inline void store_samples(raw_t raw, __local const int4 *places, float scale, int pass, __local uint4 *samples)
{
    const float by = factor_of(places, pass) * scale * unscale_of(raw);
    float v[VEC];
% for i in range(4):
% if dtype == "float32":
    v[${i}] = as_float(raw.row.s${i}) * by;
% else:
    const float2 pair_${i} = of_two_halves(raw.row.s${i}) * by;
    v[${2 * i}] = pair_${i}.x;
    v[${2 * i + 1}] = pair_${i}.y;
% endif
% endfor
    store_halves(v, pass, samples);
}

/* What was copied before the last turn is there. */
static inline void end_turn_of_copies(void) { asm volatile("cp.async.commit_group;\ncp.async.wait_group 1;" ::: "memory"); }

## Block b, whose samples are in half b % 2 of raw, becomes halves, once all who bring it know its largest; and b + 2 is fetched.
<%def name="bring(b, half)">\
{
                    store_most(raw + ${half} * PASSES, places + (${b}) % 4 * BLOCK, most + (${b}) % 4);
                    own_barrier(1);
                    const float scale = block_scale(most[(${b}) % 4]);
                    #pragma unroll
                    for (int pass = 0; pass < PASSES; ++pass) {
                        store_samples(raw[${half} * PASSES + pass], places + (${b}) % 4 * BLOCK, scale, pass, samples + (${b}) % 2 * SAMPLES);
                        raw[${half} * PASSES + pass] = fetch(${kept.given()}pass, group, first_unit, begin + (${b}) + 2, end);
                    }
                }\
</%def>\
<%def name="copy_ahead_of(b)">\
{
                    fetch_grads(packed, min(begin + (${b}), last_block) * GROUPS + group, tile_out, grads + (${b}) % 3 * GRADS);
                    fetch_places(all_places, begin + (${b}) + 1, last_block, group, places + ((${b}) + 1) % 4 * BLOCK);
                }\
</%def>\
__kernel __attribute__((reqd_work_group_size(2 * ITEMS, 1, 1)))
void backward_weight_sampled(
    __global const data_t *restrict grad_output,
    __global const uint4 *restrict packed,
    __global const uint4 *restrict all_places,
    __global const data_t *restrict ring,
${kept.operands("const ")}\
${plan.operands()}\
    __global float4 *restrict partial,
    int batch, int height, int width, int out_height, int out_width)
{
    __local uint4 samples[2 * SAMPLES];
    __local uint4 grads[3 * GRADS];
    __local int4 places[4 * BLOCK];
    __local uint most[4];
    const int t = MY_ITEM;
    const int brings = (int)get_local_id(0) >= ITEMS;
    const int below = (width + 1) * IN_CHANNELS;
${run.first()}\
${run.begin()}\
        const int tile_out = ${run.tile_out()};

        if (brings) {
            raw_t raw[2 * PASSES];
            #pragma unroll
            for (int pass = 0; pass < 2 * PASSES; ++pass)
                raw[pass] = fetch(${kept.given()}pass % PASSES, group, first_unit, begin + pass / PASSES, end);
            if (t < 4) most[t] = 0;
            fetch_places(all_places, begin, last_block, group, places);
            ${copy_ahead_of("0")}
            publish_copies();
            own_barrier(1);
            ${copy_ahead_of("1")}
            ${bring("0", 0)}
            for (int b = 0; b < count; b += 2) {
% for half in range(2):
                end_turn_of_copies();
                common_barrier();
                if (b + ${half + 1} >= count) break;
                if (t == 0) most[(b + ${half + 3}) % 4] = 0;
                ${copy_ahead_of("b + %d" % (half + 2))}
                ${bring("b + %d" % (half + 1), 1 - half)}
% endfor
            }
            publish_copies(); /* those of blocks that aren't this piece's */
        } else {
            float total[4 * TOTAL_QUADS];
            #pragma unroll
            for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = 0.0f;
            for (int b = 0; b < count; ++b) {
                common_barrier();
                const float size = as_float(most[b % 4]);
                if (size == 0.0f || (size >= LEAST && size <= MOST))
                    multiply_block(grads + b % 3 * GRADS, samples + b % 2 * SAMPLES, inverse(block_scale(most[b % 4])), total);
                else
                    add_again(grad_output, ring, ${plan.given()}height, width, (__local float *)(samples + b % 2 * SAMPLES), begin + b, end,
                              group, tile_out, first_unit, below, out_height, out_width, total);
            }
${run.store()}
        }
    }
}
