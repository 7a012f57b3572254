<%
hopper = unit == "wgmma"
outs_at_once = min(tile_out, 128 if tile_out * units * vec * 8 <= 128 * 128 else 64)  # as registers hold sums of
rounds = [(f, out) for f in range(units * vec * 8 // 16 // (items // 32)) for out in range(0, tile_out, outs_at_once)]
%>\
/* backward_weight_sampled: the gradient of the weight as backward_weight_matrix makes it (see there for factors, their scales, and the
 * arguments), from samples that the forward left, see kept_samples; bit-identical from run to run.
 *
 *     grad_weight[o, c, tap] = sum over pixels p of the batch: sample[p][c at tap] * grad_output[o][p]
 *
 * Samples are the first factor of this product. They are halves by the forward's scale of their pixel and chunk, gradients by their pixel's.
 * What undoes both, factor / scale, is a power of two: the pixel's ratio is that over the largest of a warp's block, at most 1, and comes to
 * the samples on their way to the unit; the largest comes to the block's sums. (A warp's fragments are of one unit, and so of one scale.)
 * offset and mask are for blocks whose factors halves can't hold.
 *
 * A work-group takes its pieces block by block, and all of its warps do the same. While a block is multiplied, STAGES - 1 behind it are on
 * their way to local memory, as they lie in global memory, and what the next block's ratios are made of becomes these. All meet at a barrier
 * for each block.
 *
 * Local memory, in rings of STAGES blocks: samples [UNITS][STEPS][KEPT_SIXTEEN], grads [PARTS][TILE_OUT][BLOCK] of halves; doubted [4],
 * whether a block has factors that halves can't hold; the panel of those, see weight_again${"; arrived [STAGES], see bulk_copies" if hopper else ""}. */
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
% if hopper:
<%include file="matrix_hopper.cl" args="tile_out=outs_at_once"/>
<%include file="bulk_copies.cl"/>
% endif
<%include file="weight_common.cl"/>
<%include file="weight_again.cl"/>
<%include file="weight_copies.cl"/>
${kept.layout()}\
#define STEPS (BLOCK / 16)
#define STAGES ${stages}
#define UNIT_VECS (STEPS * KEPT_SIXTEEN * PARTS / 2) /* 16 bytes each, of a block */
#define KEPT_VECS (UNITS * UNIT_VECS)
<%include file="sampled_products.cl"/>
/* A unit of channels of a tile; the last of the group's, where these end within it. */
static inline int unit_here(int first_unit, int unit) { return min(first_unit + unit, CHUNKS * TAPS - 1); }

/* Where the samples of unit `unit` of a tile and a block begin. */
static inline __global const uint4 *samples_of(
    __global const uint4 *restrict kept_samples, int unit, int group, int first_unit, index_t block, index_t end)
{
    return kept_samples + (KEPT_UNIT(group * CHUNKS * TAPS + unit_here(first_unit, unit), end) + block * (STEPS * KEPT_SIXTEEN)) * PARTS / 2;
}

/* What the ratios of a lane's two neighbouring pixels are made of: factors and scales. */
typedef struct { uint factor[2], scale[2]; } operands_t;
static inline operands_t read_operands(
    __global const uint4 *restrict all_places, __global const float *restrict scales, int group, int block, int last_block,
    index_t end)
{
    operands_t operands;
    const int pixel = MY_ITEM % (BLOCK / 2) * 2;
    __global const float *factors = (__global const float *)(all_places + (index_t)(min(block, last_block) * GROUPS + group) * BLOCK + pixel) + 3;
    #pragma unroll
    for (int i = 0; i < 2; ++i) {
        operands.factor[i] = begin_largest(factors + 4 * i);
        operands.scale[i] = begin_largest(scales + min((index_t)block * BLOCK + pixel + i, end - 1));
    }
    return operands;
}

/* What another lane of the warp has. */
static inline uint of_lane_number(uint given, int lane)
{
    uint got;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, -1;" : "=r"(got) : "r"(given), "r"(lane));
    return got;
}

/* The ratios of a block, of the pixels that a lane has at each step and octet; and its largest product of factor, 2**15 and inverse scale:
 * infinite where that is in doubt, and no less than what an inverse is known of. */
static inline float make_ratios(operands_t operands, uint *ratios)
{
    float size[2];
    #pragma unroll
    for (int i = 0; i < 2; ++i) {
        const float factor = begun_largest(operands.factor[i]), scale = begun_largest(operands.scale[i]);
        const int holds = factor <= LARGEST_FACTOR && scale >= 0x1p15f / LARGEST_SAMPLE && scale <= 0x1p126f;
        size[i] = holds ? factor * (0x1p15f * inverse(scale)) : INFINITY;
    }
    const float most = fmax(as_float(largest_of_warp(as_uint(fmax(size[0], size[1])))), FLT_MIN);
    const uint pair = two_halves(size[0] * inverse(most), size[1] * inverse(most));
    #pragma unroll
    for (int octet = 0; octet < BLOCK / 8; ++octet) ratios[octet] = of_lane_number(pair, octet * 4 + MY_ITEM % 4);
    return most;
}
static inline int in_doubt(float most) { return most > MOST; }

## Block b, if the piece has it, begins to come to the rings' place for turn `turn`.
<%def name="copy_block(b, turn)">\
{
            __local uint4 *its_grads = grads + (${turn}) % STAGES * GRADS, *its_samples = samples + (${turn}) % STAGES * KEPT_VECS;
% if hopper:
            if (t % 32 == 0 && ${b} < count) {
                __local ulong *place = arrived + (${turn}) % STAGES;
                for (int i = t / 32; i < UNITS + PARTS; i += WARPS) {
                    const int part = i - UNITS;
                    const uint bytes = (part < 0 ? UNIT_VECS : GRADS / PARTS) * 16;
                    expect_bytes(place, bytes);
                    copy_bulk(part < 0 ? its_samples + i * UNIT_VECS : its_grads + part * (GRADS / PARTS),
                              part < 0 ? samples_of(kept_samples, i, group, first_unit, begin + ${b}, end) : packed + part * (OUTS * BLOCK / 8)
                                  + (index_t)((begin + ${b}) * GROUPS + group) * (PARTS * OUTS * BLOCK / 8) + tile_out * (BLOCK / 8),
                              bytes, place);
                }
            }
% else:
            if (${b} < count) {
                fetch_grads(packed, (begin + ${b}) * GROUPS + group, tile_out, its_grads);
                for (int i = t; i < KEPT_VECS; i += ITEMS)
                    copy_ahead(its_samples + i, samples_of(kept_samples, i / UNIT_VECS, group, first_unit, begin + ${b}, end) + i % UNIT_VECS);
            }
            asm volatile("cp.async.commit_group;" ::: "memory");
% endif
        }\
</%def>\
## What the ratios of block b are made of; those of the next, and what those of the one behind it are made of.
<%def name="operands_of(b)">\
read_operands(all_places, scales, group, begin + ${b}, last_block, end)\
</%def>\
<%def name="next_ratios()">\
most = make_ratios(operands, ratios);
            operands = ${operands_of("b + 2")};\
</%def>\
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void backward_weight_sampled(
    __global const data_t *restrict grad_output,
    __global const uint4 *restrict packed,
    __global const uint4 *restrict all_places,
    __global const data_t *restrict ring,
${kept.operands("const ", "uint4")}\
${plan.operands()}\
    __global float4 *restrict partial,
    int batch, int height, int width, int out_height, int out_width)
{
    __local uint4 grads[STAGES * GRADS] __attribute__((aligned(1024))); /* for their octets change places by their addresses */
    __local uint4 samples[STAGES * KEPT_VECS] __attribute__((aligned(1024)));
    __local float panel[PANEL_PIXELS * PANEL_ROW];
    __local uint doubted[4];
% if hopper:
    __local ulong arrived[STAGES];
% endif
    const int t = MY_ITEM;
    const int below = (width + 1) * IN_CHANNELS;
${run.first()}\
    int turn = 0; /* blocks of all pieces that were multiplied */
% if hopper:
    if (t < STAGES) begin_arrivals(arrived + t, UNITS + PARTS);
% endif
${run.begin()}\
        const int tile_out = ${run.tile_out()};
        const int its_chunk = unit_here(first_unit, warp_fragment(t) / (UNIT / 16)) / TAPS;
        __global const float *scales = kept_scales + (index_t)(group * CHUNKS + its_chunk) * end;
% for b in range(stages - 1):
        ${copy_block(b, f"turn + {b}")}
% endfor
        uint ratios[BLOCK / 8];
        float most = make_ratios(${operands_of("0")}, ratios);
        operands_t operands = ${operands_of("1")};
        if (t < 4) doubted[t] = 0;
        common_barrier();
        if (in_doubt(most)) doubted[0] = 1;
        float total[4 * TOTAL_QUADS];
        #pragma unroll
        for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = 0.0f;
% if hopper:
        float sum[${outs_at_once // 2}];
        #pragma unroll
        for (int i = 0; i < ${outs_at_once // 2}; ++i) sum[i] = 0.0f;
% endif
        for (int b = 0; b < count; ++b, ++turn) {
            __local const uint4 *its_grads = grads + turn % STAGES * GRADS;
            __local const kept_t *its_samples = (__local const kept_t *)(samples + turn % STAGES * KEPT_VECS);
            const float unscale = most * 0x1p-15f;
% if not hopper:
            asm volatile("cp.async.wait_group ${stages - 2};" ::: "memory");
% endif
            common_barrier();
            const int doubtful = doubted[b % 4];
            if (t == 0) doubted[(b + 2) % 4] = 0;
            ${copy_block(f"b + {stages - 1}", f"turn + {stages - 1}")}
% if hopper:
            wait_for_arrivals(arrived + turn % STAGES, turn / STAGES % 2);
            uint a[STEPS][PARTS][4];
% for f, out in rounds:
% if out == 0:
            make_factors(ratios, ${f}, a, its_samples);
% endif
            begin_products_of(a, its_grads + ${out} * (BLOCK / 8), sum);
% if (f, out) == rounds[-1]:
            ${next_ratios()}
% endif
            products_done(sum, a[0][0]);
            if (!doubtful) {
                float *to = total + (${f} * TILE_OUT + ${out}) / 2;
                #pragma unroll
                for (int i = 0; i < ${outs_at_once // 2}; ++i) to[i] = fma(sum[i], unscale, to[i]);
            }
% endfor
% else:
            if (!doubtful) multiply_block(its_samples, ratios, its_grads, unscale, total);
            ${next_ratios()}
% endif
            if (doubtful)
                add_again(grad_output, ring, ${plan.given()}height, width, t, panel, begin + b, end, group, tile_out, first_unit, below, out_height,
                          out_width, total);
            if (in_doubt(most)) doubted[(b + 1) % 4] = 1;
        }
${run.store()}
    }
}
