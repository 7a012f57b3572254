<%namespace name="plan" file="plan.cl"/>\
/* A block whose factors halves can't hold, in float32: total += grad_output x samples, of item t's outputs and columns. All work-items of
% if sampled:
 * that job come here together, for they share a panel [PANEL_PIXELS][PANEL_ROW] of samples and gradients. Plans come from where the forward
 * had them from. Needs ring_vector, weight_tile and the names of backward_weight_sampled. */
#define PANEL_PIXELS 8
#define PANEL_ROW (COLUMNS + TILE_OUT)
% else:
 * that job come here together, for they share a panel of samples, [PANEL_PIXELS][PANEL_ROW], in place of the block's halves. Plans come from
 * local memory. Needs ring_vector, weight_tile and the names of backward_weight_matrix. */
#define PANEL_PIXELS (BLOCK * PARTS / 2)
#define PANEL_ROW COLUMNS
% endif

/* The gradients of a pixel of the batch: of a group's first output; the others are an image's pixels apart. */
static inline __global const data_t *grads_of(__global const data_t *restrict grad_output, index_t at, int group, int out_height, int out_width)
{
    const index_t pixels = (index_t)out_height * out_width;
    const int2 p = strip_pixel((int)(at % pixels), out_height, out_width);
    return grad_output + (at / pixels * OUT_CHANNELS + group * GROUP_OUT) * pixels + (index_t)p.x * out_width + p.y;
}

static inline void add_again(
    __global const data_t *restrict grad_output, __global const data_t *restrict ring,
% if sampled:
${plan.operands()}\
    int height, int width,
% else:
    __local const plan_t *plan,
% endif
    int t, __local float *panel, int block, index_t end, int group, int tile_out, int first_unit, int below, int out_height, int out_width,
    float *total)
{
    const index_t pixels = (index_t)out_height * out_width;
    #pragma unroll 1
    for (int begin = 0; begin < BLOCK; begin += PANEL_PIXELS) {
        own_barrier(2);
        #pragma unroll 1
        for (int i = t; i < PANEL_PIXELS * COLUMNS / VEC; i += ITEMS) {
            const int row = i / (COLUMNS / VEC), column = i % (COLUMNS / VEC) * VEC;
            const int unit = min(first_unit + column / UNIT, CHUNKS * TAPS - 1);
            const int c = unit / TAPS * UNIT + column % UNIT;
            acc_t value[VEC];
            if (c < GROUP_IN) {
                const int g = (group * GROUP_IN + c) / SAMPLE_CHANNELS;
% if sampled:
                const int tap = unit % TAPS;
                const long at = min((long)block * BLOCK + begin + row, (long)end - 1);
                const int n = (int)(at / pixels);
                const int2 where = strip_pixel((int)(at % pixels), out_height, out_width);
% if not planned:
                const int oy = where.x, ox = where.y;
% endif
                const index_t pixel = (index_t)where.x * out_width + where.y;
                const plan_t its = ${plan.kept("g") if planned else plan.here("g")};
% else:
                const plan_t its = plan[(column / UNIT * PLANS + g - first_group(group * GROUP_IN, unit)) * BLOCK + begin + row];
% endif
                sample_ring(ring, its, group * GROUP_IN + c, below, value);
            } else {
                #pragma unroll
                for (int j = 0; j < VEC; ++j) value[j] = ACC(0.0);
            }
            #pragma unroll
            for (int j = 0; j < VEC; ++j) panel[row * PANEL_ROW + column + j] = value[j];
        }
% if sampled:
        #pragma unroll 1
        for (int i = t; i < PANEL_PIXELS * TILE_OUT; i += ITEMS) {
            __global const data_t *from = grads_of(grad_output, min((index_t)block * BLOCK + begin + i / TILE_OUT, end - 1), group, out_height, out_width);
            const int out = tile_out + i % TILE_OUT;
            panel[i / TILE_OUT * PANEL_ROW + COLUMNS + i % TILE_OUT] = out < GROUP_OUT ? load_data(from, out * pixels) : 0.0f;
        }
% endif
        own_barrier(2);
        #pragma unroll 1
        for (int pixel = 0; pixel < PANEL_PIXELS; ++pixel) {
            const index_t at = (index_t)block * BLOCK + begin + pixel;
            if (at >= end) break;
            __local const float *row = panel + pixel * PANEL_ROW;
% if sampled:
            #pragma unroll
            for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = fma(row[COLUMNS + out_of(t, i)], row[column_of(t, i)], total[i]);
% else:
            __global const data_t *from = grads_of(grad_output, at, group, out_height, out_width);
            float factor[2 * ROW_FRAGMENTS];
            #pragma unroll
            for (int r = 0; r < 2 * ROW_FRAGMENTS; ++r) {
                const int out = tile_out + first_out(t) + 8 * r;
                factor[r] = out < GROUP_OUT ? load_data(from, out * pixels) : 0.0f;
            }
            #pragma unroll
            for (int i = 0; i < 4 * TOTAL_QUADS; ++i) total[i] = fma(factor[ROW_OF(i)], row[column_of(t, i)], total[i]);
% endif
        }
    }
}
