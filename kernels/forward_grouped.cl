/* forward_grouped: the forward pass for few channels a group, down to depthwise: a work-item has a whole group to itself.
 *
 *     output[n, o, p] = bias[o] + sum over taps k, channels c of o's group: weight[o, c, k] * sample[p][c]      sample = mask * B
 *
 * ring [..][C], see ring_last; offset [N][OG][K][2][P], mask [N][OG][K][P], weight [O][C/groups][K], bias [O], output [N][O][P] as the
 * caller has them.
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips, times groups [j * TOGETHER, ..).
 * Work-item t: group t % TOGETHER of these, so that neighbours read neighbouring channels of one pixel, and ITEM_PIXELS pixels
 * t / TOGETHER + i * ROWS, so that each weight that it reads serves several.
 *
 * Local memory: plan [PLANS][TAPS][TILE_PIXELS], of the sample groups of these groups (see plan);
 * weights [TAPS][GROUP_IN][GROUP_OUT / VEC_OUT][TOGETHER], vectors of VEC_OUT outputs, neighbours in neighbouring banks. */
<%namespace name="plan" file="plan.cl"/>\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
#define TOGETHER ${together}
#define TILE_PIXELS ${tile_pixels}
#define ITEM_PIXELS ${item_pixels}
#define ROWS (TILE_PIXELS / ITEM_PIXELS)
#define ITEMS (ROWS * TOGETHER)
#define PLANS ${plans}
#define VEC_OUT ${vec_out}
#define OUTS (GROUP_OUT / VEC_OUT)
#define WEIGHTS (TAPS * GROUP_IN * OUTS)
% if vec_out == 1:
#define outs_t acc_t
% else:
#define outs_t ${"double" if accumulator == "float64" else "float"}${vec_out}
% endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void forward_grouped(
    __global const data_t *restrict ring,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    __global const data_t *restrict weight,
% if has_bias:
    __global const data_t *restrict bias,
% endif
    __global data_t *restrict output,
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[PLANS * TAPS * TILE_PIXELS];
    __local outs_t weights[WEIGHTS * TOGETHER];
    const int t = (int)get_local_id(0);
    const int first_group = (int)get_group_id(1) * TOGETHER;
    const int group = first_group + t % TOGETHER;
    const int channel = group * GROUP_IN;
    const int first_plan = first_group * GROUP_IN / SAMPLE_CHANNELS;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const long end = (long)batch * pixels;

    for (int i = t; i < WEIGHTS * TOGETHER; i += ITEMS) {
        const int o = i / TOGETHER % OUTS * VEC_OUT;
        const int c = i / (TOGETHER * OUTS) % GROUP_IN;
        const int tap = i / (TOGETHER * OUTS * GROUP_IN);
        __global const data_t *from = weight + (((index_t)(first_group + i % TOGETHER) * GROUP_OUT + o) * GROUP_IN + c) * TAPS + tap;
        weights[i] = (outs_t)(${", ".join("load_data(from, %d * GROUP_IN * TAPS)" % n for n in range(vec_out))});
    }
    for (int i = t; i < PLANS * TAPS * TILE_PIXELS; i += ITEMS) {
        const long at = min(first + i % TILE_PIXELS, end - 1);
        const int n = (int)(at / pixels);
        const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
        const int oy = p.x, ox = p.y;
        const index_t pixel = (index_t)oy * out_width + ox;
        (void)pixel; /* an ordinary convolution has no offsets to read */
        const int tap = i / TILE_PIXELS % TAPS;
% if offset_groups:
        const int g = min(first_plan + i / (TILE_PIXELS * TAPS), SAMPLE_GROUPS - 1);
% endif
        plan[i] = ${plan.here("g")};
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    __local const plan_t *mine = plan + (channel / SAMPLE_CHANNELS - first_plan) * TAPS * TILE_PIXELS + t / TOGETHER;
    __local const outs_t *w = weights + t % TOGETHER;
    outs_t sum[ITEM_PIXELS][OUTS];
    #pragma unroll
    for (int o = 0; o < OUTS; ++o) {
% if has_bias:
        __global const data_t *shift = bias + group * GROUP_OUT + o * VEC_OUT;
        const outs_t start = (outs_t)(${", ".join("load_data(shift, %d)" % n for n in range(vec_out))});
% else:
        const outs_t start = (outs_t)(ACC(0.0));
% endif
        #pragma unroll
        for (int i = 0; i < ITEM_PIXELS; ++i) sum[i][o] = start;
    }
    #pragma unroll 1
    for (int tap = 0; tap < TAPS; ++tap) {
        acc_t value[ITEM_PIXELS][GROUP_IN];
        #pragma unroll
        for (int i = 0; i < ITEM_PIXELS; ++i) sample_ring(ring, mine[tap * TILE_PIXELS + i * ROWS], channel, below, value[i]);
        #pragma unroll
        for (int c = 0; c < GROUP_IN; ++c) {
            #pragma unroll
            for (int o = 0; o < OUTS; ++o) {
                const outs_t factor = w[((tap * GROUP_IN + c) * OUTS + o) * TOGETHER];
                #pragma unroll
                for (int i = 0; i < ITEM_PIXELS; ++i) sum[i][o] = fma((outs_t)(value[i][c]), factor, sum[i][o]);
            }
        }
    }
    #pragma unroll
    for (int i = 0; i < ITEM_PIXELS; ++i) {
        const long at = first + t / TOGETHER + i * ROWS;
        const int2 p = strip_pixel((int)(min(at, end - 1) % pixels), out_height, out_width);
        __global data_t *to = output + ((index_t)(min(at, end - 1) / pixels) * OUT_CHANNELS + group * GROUP_OUT) * pixels
                            + (index_t)p.x * out_width + p.y;
        #pragma unroll
        for (int o = 0; o < OUTS; ++o) {
            if (at < end) {
% for i in range(vec_out):
                store_data(to, (index_t)(o * VEC_OUT + ${i}) * pixels, sum[i][o]${"" if vec_out == 1 else ".s%x" % i});
% endfor
            }
        }
    }
}
