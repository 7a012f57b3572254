/* forward_units: the forward pass by the matrix units of AMD and Intel, an implicit product whose samples meet in local memory.
 *
 *     output[n, o, p] = bias[o] + sum over k = (chunk of channels, tap, channel): weight[o][k] * sample[k][p]      sample = mask * B
 *
 * Both factors are halves, sums are float32. float32 data is cut in two halves, and three products (high x high, low x high, high x low)
 * give 22 bits. Samples are scaled by a power of two of their output pixel, from what bounds those that it takes (see sample_bound);
 * weights by one of their output. A chunk at one tap is summed from zero and added to the total by an ordinary addition, whatever the
 * matrix unit does where it adds.
 *
 * ring [..][C] and largest [..] see ring_last; packed see fragments, unscale [GROUPS * TILES * TILE_OUT] see pack_weight_units; offset
 * [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them. A tile of which an output isn't finite, as it
 * also is where no half can hold a factor, is done once more from input and weight as the caller has them (see again).
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips, times tile j % TILES of the outputs of
 * group j / TILES. Channels outside, taps inside: a chunk's pixels stay in the cache while all taps read them. While one tap of a chunk is
 * multiplied, the samples of the next are made. Work-item t has two jobs:
 *   sample:   octet t % OCTETS of pixels t / OCTETS + pass * ROWS, so that neighbours read one pixel's channels together
 *   multiply: wave t / LANES owns WAVE_PIXELS pixels and WAVE_OUT outputs, in blocks; weights come straight from global memory
 *
 * Local memory: plan [PLANS][TAPS][TILE_PIXELS], of the offset groups of a chunk (see plan), made anew where they change, with scales
 * [TILE_PIXELS]; largest_in [ITEMS]; samples [2][PARTS][OCTETS][ROW] of octets, of this tap and the next. */
<%
changing = offset_groups > 1
blocks = [(o, p) for o in range(wave_out // block_out) for p in range(wave_pixels // block_pixels)]
%>\
<%namespace name="outputs" file="matrix_outputs.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="sample_bound.cl"/>
<%include file="ring_vector.cl"/>
<%include file="scale.cl"/>
<%include file="fragments.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define WAVE_PIXELS ${wave_pixels}
#define WAVE_OUT ${wave_out}
#define WAVES_PIXELS (TILE_PIXELS / WAVE_PIXELS)
#define WAVES (WAVES_PIXELS * (TILE_OUT / WAVE_OUT))
#define ITEMS (WAVES * LANES)
#define PLANS ${plans}
#define ROWS (ITEMS / OCTETS)
#define PASSES ((TILE_PIXELS + ROWS - 1) / ROWS)
#define HAS_OCTET(pixel) (PASSES * ROWS == TILE_PIXELS || (pixel) < TILE_PIXELS)
#define ROW (TILE_PIXELS + 8 / OCTETS)
#define BUFFER (PARTS * OCTETS * ROW)
#define BLOCKS_PIXELS (WAVE_PIXELS / BLOCK_PIXELS)
#define BLOCK_VECS (BLOCK_OUT * 2)
#define STAGE_VECS (STAGE / 8)
<%include file="fragment_loads.cl"/>
% if emulated:
<%include file="matrix_plain.cl"/>
% elif unit in ("mfma", "wmma"):
<%include file="matrix_amd.cl"/>
% else:
<%include file="matrix_intel.cl"/>
% endif

<%include file="unit_samples.cl"/>
<%include file="again.cl"/>
/* One block's product for one chunk at one tap, summed from zero. */
static inline sum_t product(__global const uint4 *block, __local const uint4 *column, int lane)
{
    sum_t sum = (sum_t)(0.0f);
% if parts == 2:
    sum_t low = (sum_t)(0.0f);
% endif
    #pragma unroll
    for (int step = 0; step < STEPS; ++step) {
        const weights_t weight = weights_of(block, lane);
        const samples_t sample = samples_of(column, lane);
        sum = multiply(sum, weight, sample, lane);
% if parts == 2:
        low = multiply(low, weights_of(block + BLOCK_VECS, lane), sample, lane);
        low = multiply(low, weight, samples_of(column + OCTETS * ROW, lane), lane);
% endif
        block += TILE_OUT / BLOCK_OUT * PARTS * BLOCK_VECS;
        column += 2 * ROW;
    }
    return ${"sum + low * (1.0f / LOW_SCALE)" if parts == 2 else "sum"};
}

/* A lane's sums of one block as outputs of one pixel, from output `out` of the group on; whether one isn't finite. */
static inline int store_block(
    sum_t sums, __global const float *unscale, ${"__global const data_t *bias, " if has_bias else ""}__global data_t *to, int pixels, int out, int lane)
{
    int doubt = 0;
% for i in range(block_out * block_pixels // lanes):
    {
        const int row = SUM_OUT(${i}, lane);
        if (out + row < GROUP_OUT) {
            const float value = sums.s${"%x" % i} * unscale[row];
            doubt |= !(fabs(value) <= FLT_MAX);
            store_data(to, (index_t)(out + row) * pixels, value${" + load_data(bias, out + row)" if has_bias else ""});
        }
    }
% endfor
    return doubt;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))\
% if unit.startswith("dpas") and not emulated:
 __attribute__((intel_reqd_sub_group_size(LANES)))\
% endif

void forward_units(
    __global const data_t *restrict ring,
    __global const uint *restrict largest,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    __global const uint4 *restrict packed,
    __global const float *restrict unscale,
% if has_bias:
    __global const data_t *restrict bias,
% endif
    __global const data_t *restrict input,
    __global const data_t *restrict weight,
    __global data_t *restrict output,
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[PLANS * TAPS * TILE_PIXELS];
    __local uint4 samples[2 * BUFFER];
    __local float scales[TILE_PIXELS];
    __local float largest_in[ITEMS];
    __local int doubted[1];
    __local half *halves = (__local half *)samples;
    const int t = (int)get_local_id(0);
    const int lane = t % LANES;
    const int wave_pixel = t / LANES % WAVES_PIXELS * WAVE_PIXELS;
    const int wave_out = t / LANES / WAVES_PIXELS * WAVE_OUT;
    const int group = (int)get_group_id(1) / TILES;
    const int first_channel = group * GROUP_IN;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const long end = (long)batch * pixels;
    __global const uint4 *weights = packed + (index_t)get_group_id(1) * CHUNKS * TAPS * STAGE_VECS + wave_out / BLOCK_OUT * PARTS * BLOCK_VECS;

    if (t == 0) doubted[0] = 0;
    sum_t ${", ".join("total_%d_%d = (sum_t)(0.0f)" % block for block in blocks)};

<%def name="plans_of(chunk)">\
make_plans(plan, largest_in, largest, ${"offset, " if offset_groups else ""}${"mask, " if has_mask else ""}first, end, first_channel, ${chunk},
                              height, width, out_height, out_width)\
</%def>\
% if not changing:
    ${plans_of(0)};
    barrier(CLK_LOCAL_MEM_FENCE);
    make_scales(scales, largest_in);
% endif
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        barrier(CLK_LOCAL_MEM_FENCE);
% if changing:
        const int fresh = new_plans(first_channel, chunk);
        if (fresh) ${plans_of("chunk")};
        barrier(CLK_LOCAL_MEM_FENCE);
        if (fresh) make_scales(scales, largest_in);
        barrier(CLK_LOCAL_MEM_FENCE);
% endif
        float unscaled[BLOCKS_PIXELS];
        #pragma unroll
        for (int p = 0; p < BLOCKS_PIXELS; ++p) unscaled[p] = inverse(scales[wave_pixel + p * BLOCK_PIXELS + lane % BLOCK_PIXELS]);
        float8 octets[PASSES];
        sample_octets(ring, plan, scales, first_channel, chunk, 0, below, octets);
        store_octets(octets, halves);

        #pragma unroll 1 /* or AMD's compiler fetches for all taps at once */
        for (int tap = 0; tap < TAPS; ++tap) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (tap + 1 < TAPS) sample_octets(ring, plan, scales, first_channel, chunk, tap + 1, below, octets);
            __global const uint4 *stage = weights + (index_t)(chunk * TAPS + tap) * STAGE_VECS;
            __local const uint4 *here = samples + tap % 2 * BUFFER + wave_pixel;
% for o, p in blocks:
            total_${o}_${p} += unscaled[${p}] * product(stage + ${o} * PARTS * BLOCK_VECS, here + ${p} * BLOCK_PIXELS, lane);
% endfor
            if (tap + 1 < TAPS) store_octets(octets, halves + (tap + 1) % 2 * BUFFER * 8);
        }
    }

    int doubt = 0;
    const int out = (int)get_group_id(1) % TILES * TILE_OUT + wave_out; /* the wave's first, in its group */
    __global const float *by = unscale + get_group_id(1) * TILE_OUT + wave_out;
% for p in range(wave_pixels // block_pixels):
    {
        const long at = first + wave_pixel + ${p} * BLOCK_PIXELS + lane % BLOCK_PIXELS;
        const long real = min(at, end - 1);
        const int2 place = strip_pixel((int)(real % pixels), out_height, out_width);
        __global data_t *to = output + ((index_t)(real / pixels) * OUT_CHANNELS + group * GROUP_OUT) * pixels + (index_t)place.x * out_width + place.y;
% for o in range(wave_out // block_out):
        if (at < end) doubt |= store_block(total_${o}_${p}, by + ${o} * BLOCK_OUT, ${"bias + group * GROUP_OUT, " if has_bias else ""}to, pixels, out + ${o} * BLOCK_OUT, lane);
% endfor
    }
% endfor
${outputs.look_again()}\
}
