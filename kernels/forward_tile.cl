/* forward_tile: the forward pass for any GPU, an implicit product whose tiles meet in local memory.
 *
 *     output[n, o, p] = bias[o] + sum over k = (chunk of channels, tap, channel): panel[k][p] * packed[k][o]      panel = mask * B
 *
 * ring     [..][C], the input with its channels innermost in a ring of zeros, see ring_last
 * packed   [GROUPS][TILES][TAPS * GROUP_IN][TILE_OUT] of acc_t, see pack_weight
 * offset [N][OG][K][2][P], mask [N][OG][K][P], bias [O], output [N][O][P] as the caller has them
 *
 * Work-group (i, j): pixels [i * TILE_PIXELS, ..) of the batch, each image in the order of strips, times tile j % TILES of the outputs of
 * group j / TILES. Channels outside, taps inside: a chunk's pixels stay in the cache while all taps read them. Work-item t has two jobs,
 * with a barrier between them, for each chunk of TILE_K channels at each tap:
 *   sample:   lane t % LANES takes VEC channels of pixels t / LANES + pass * ROWS, so that LANES neighbours read one pixel's channels
 *             together; a sample group never splits a lane's channels (VEC divides it)
 *   multiply: it owns pixels 4 * (x + i * ITEMS_X) .. + 4 and outputs 4 * (y + j * ITEMS_Y) .. + 4 (x = t % ITEMS_X, y = t / ITEMS_X)
% if unit == "dmma":
 *             Here by NVIDIA's matrix unit for float64: a warp owns ITEM_PIXELS pixels and ITEM_OUT outputs, in blocks of 8 x 8, of which a
 *             lane has pixel lane / 4 and outputs 2 * (lane % 4), + 1. Hopper's takes two such blocks and twice the depth at once.
% endif
 *
 * Local memory: plan [PLANS][TAPS][TILE_PIXELS], of the sample groups of a chunk (see plan), made anew where they change;
 * panel [TILE_K][TILE_PIXELS / 4 + 1], weights [TILE_K][TILE_OUT / 4 + 1], of vectors of 4: the odd lengths spread columns over the banks. */
<%namespace name="plan" file="plan.cl"/>\
<%namespace name="quads" file="quads.cl"/>\
\
<%include file="types.cl"/>
<%include file="shape.cl"/>
<%include file="sample.cl"/>
<%include file="ring.cl"/>
<%include file="strips.cl"/>
<%include file="plan.cl"/>
<%include file="ring_vector.cl"/>
<%include file="quads.cl"/>
#define TILE_PIXELS ${tile_pixels}
#define TILE_OUT ${tile_out}
#define TILE_K ${tile_k}
#define ITEM_PIXELS ${item_pixels}
#define ITEM_OUT ${item_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define CHUNKS ((GROUP_IN + TILE_K - 1) / TILE_K)
#define PLANS ${plans}
#define ITEMS_X (TILE_PIXELS / ITEM_PIXELS)
#define ITEMS_Y (TILE_OUT / ITEM_OUT)
% if unit == "dmma":
#define ITEMS (ITEMS_X * ITEMS_Y * 32)
#define OWN_PIXEL(i) (t / 32 % ITEMS_X * ITEM_PIXELS + 8 * (i) + t % 32 / 4)
#define OWN_OUT(j) (t / 32 / ITEMS_X * ITEM_OUT + 8 * ((j) / 2) + 2 * (t % 4) + (j) % 2)
#define SUMS_PIXELS (ITEM_PIXELS / 8)
#define SUMS_OUT (ITEM_OUT / 4)
#define sum_t acc_t
% else:
#define ITEMS (ITEMS_X * ITEMS_Y)
#define OWN_PIXEL(i) (4 * (t % ITEMS_X + (i) * ITEMS_X))
#define OWN_OUT(j) (4 * (t / ITEMS_X + (j) / 4 * ITEMS_Y) + (j) % 4)
#define SUMS_PIXELS (ITEM_PIXELS / 4)
#define SUMS_OUT ITEM_OUT
#define sum_t quad_t
% endif
#define LANES (TILE_K / VEC)
#define ROWS (ITEMS / LANES)
#define PASSES (TILE_PIXELS / ROWS)
#define PANEL_ROW (TILE_PIXELS / 4 + 1)
#define WEIGHTS_ROW (TILE_OUT / 4 + 1)

static inline int chunk_group(int first_channel, int chunk) { return (first_channel + chunk * TILE_K) / SAMPLE_CHANNELS; }

/* Whether a chunk needs other plans than the one before it. */
static inline int new_plans(int first_channel, int chunk)
{
% if plans > 1:
    (void)first_channel, (void)chunk;
    return 1;
% else:
    return chunk == 0 || chunk_group(first_channel, chunk) != chunk_group(first_channel, chunk - 1);
% endif
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void forward_tile(
    __global const data_t *restrict ring,
% if offset_groups:
    __global const offset_t *restrict offset,
% endif
% if has_mask:
    __global const mask_t *restrict mask,
% endif
    __global const quad_t *restrict packed,
% if has_bias:
    __global const data_t *restrict bias,
% endif
    __global data_t *restrict output,
    int batch, int height, int width, int out_height, int out_width)
{
    __local plan_t plan[PLANS * TAPS * TILE_PIXELS];
    __local quad_t panel[TILE_K * PANEL_ROW];
    __local quad_t weights[TILE_K * WEIGHTS_ROW];
    __local acc_t *samples = (__local acc_t *)panel;
    const int t = (int)get_local_id(0);
    const int lane = t % LANES;
    const int group = (int)get_group_id(1) / TILES;
    const int tile = (int)get_group_id(1) % TILES;
    const int first_channel = group * GROUP_IN;
    const int below = (width + 1) * IN_CHANNELS;
    const int pixels = out_height * out_width;
    const long first = (long)get_group_id(0) * TILE_PIXELS;
    const int real_pixels = (int)min((long)batch * pixels - first, (long)TILE_PIXELS);
    __global const quad_t *tile_weights = packed + (index_t)get_group_id(1) * TAPS * GROUP_IN * TILE_OUT / 4;

    sum_t sum[SUMS_OUT][SUMS_PIXELS];
    #pragma unroll
    for (int j = 0; j < SUMS_OUT; ++j)
        #pragma unroll
        for (int i = 0; i < SUMS_PIXELS; ++i) sum[j][i] = (sum_t)(ACC(0.0));

    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        if (new_plans(first_channel, chunk)) {
            for (int i = t; i < PLANS * TAPS * TILE_PIXELS; i += ITEMS) {
                const index_t at = (index_t)first + min(i % TILE_PIXELS, real_pixels - 1);
                const int n = (int)(at / pixels);
                const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
                const int oy = p.x, ox = p.y;
                const index_t pixel = (index_t)oy * out_width + ox;
                (void)pixel; /* an ordinary convolution has no offsets to read */
                const int tap = i / TILE_PIXELS % TAPS;
% if offset_groups:
                const int g = min(chunk_group(first_channel, chunk) + i / (TILE_PIXELS * TAPS), SAMPLE_GROUPS - 1);
% endif
                plan[i] = ${plan.here("g")};
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        const int in_group = chunk * TILE_K + lane * VEC;
        const int channel = first_channel + in_group;
        const int real = GROUP_IN % TILE_K == 0 || in_group < GROUP_IN;
        __local const plan_t *mine = plan + (real ? channel / SAMPLE_CHANNELS - chunk_group(first_channel, chunk) : 0) * TAPS * TILE_PIXELS;
        for (int tap = 0; tap < TAPS; ++tap) {
            #pragma unroll
            for (int pass = 0; pass < PASSES; ++pass) {
                const int column = t / LANES + pass * ROWS;
                acc_t value[VEC];
                if (real) {
                    sample_ring(ring, mine[tap * TILE_PIXELS + column], channel, below, value);
                } else {
                    #pragma unroll
                    for (int i = 0; i < VEC; ++i) value[i] = ACC(0.0);
                }
                #pragma unroll
                for (int i = 0; i < VEC; ++i) samples[(lane * VEC + i) * PANEL_ROW * 4 + column] = value[i];
            }
            for (int i = t; i < TILE_K * TILE_OUT / 4; i += ITEMS) {
                const int k = chunk * TILE_K + i / (TILE_OUT / 4);
                weights[i / (TILE_OUT / 4) * WEIGHTS_ROW + i % (TILE_OUT / 4)] = k < GROUP_IN
                    ? tile_weights[(index_t)(tap * GROUP_IN + k) * TILE_OUT / 4 + i % (TILE_OUT / 4)] : (quad_t)(ACC(0.0));
            }
            barrier(CLK_LOCAL_MEM_FENCE);
% if unit == "dmma":
<% depth = unit_pixels // 2 %>\
            __local const acc_t *factors = (__local const acc_t *)weights;
            #pragma unroll
            for (int k = t % 4; k < TILE_K; k += ${depth}) {
                acc_t x[${depth // 4}][ITEM_PIXELS / 8], w[${depth // 4}][ITEM_OUT / 8];
% for part in range(depth // 4):
                #pragma unroll
                for (int i = 0; i < ITEM_PIXELS / 8; ++i) x[${part}][i] = samples[(k + ${4 * part}) * PANEL_ROW * 4 + OWN_PIXEL(i)];
                #pragma unroll
                for (int j = 0; j < ITEM_OUT / 8; ++j)
                    w[${part}][j] = factors[(k + ${4 * part}) * WEIGHTS_ROW * 4 + t / 32 / ITEMS_X * ITEM_OUT + 8 * j + t % 32 / 4];
% endfor
                #pragma unroll
                for (int i = 0; i < ITEM_PIXELS / 8; i += ${unit_pixels // 8}) {
                    #pragma unroll
                    for (int j = 0; j < ITEM_OUT / 8; ++j)
% if unit_pixels == 16:
                        asm volatile("mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                            : "+d"(sum[2 * j][i]), "+d"(sum[2 * j + 1][i]), "+d"(sum[2 * j][i + 1]), "+d"(sum[2 * j + 1][i + 1])
                            : "d"(x[0][i]), "d"(x[0][i + 1]), "d"(x[1][i]), "d"(x[1][i + 1]), "d"(w[0][j]), "d"(w[1][j]));
% else:
                        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
                            : "+d"(sum[2 * j][i]), "+d"(sum[2 * j + 1][i]) : "d"(x[0][i]), "d"(w[0][j]));
% endif
                }
            }
% else:
${quads.multiply("TILE_K", "ITEM_PIXELS", "ITEM_OUT", "panel", "PANEL_ROW", "weights", "WEIGHTS_ROW")}\
% endif
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
<%def name="store(offset, value)">\
{
            const int own = OWN_PIXEL(i) + ${offset};
            const long at = first + min(own, real_pixels - 1);
            const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
            __global data_t *to = output + ((index_t)(at / pixels) * OUT_CHANNELS + group * GROUP_OUT) * pixels + (index_t)p.x * out_width + p.y;
            #pragma unroll
            for (int j = 0; j < SUMS_OUT; ++j) {
                const int out = tile * TILE_OUT + OWN_OUT(j);
                if (own < real_pixels && out < GROUP_OUT)
                    store_data(to, (index_t)out * pixels, ${value}${" + load_data(bias, group * GROUP_OUT + out)" if has_bias else ""});
            }
        }\
</%def>\
    #pragma unroll
    for (int i = 0; i < SUMS_PIXELS; ++i) {
% if unit == "dmma":
        ${store(0, "sum[j][i]")}
% else:
% for p in range(4):
        ${store(p, "sum[j][i].s%d" % p)}
% endfor
% endif
    }
}
