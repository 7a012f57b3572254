/* grad_output of a work-group's pixels in halves, in local memory, as ldmatrix takes them. Needs scale, matrix_back, matrix_nvidia.
 *
 *     grad_output[o][p] * 2**e = part 0 + part 1,   e of the pixel, such that the largest of the group's outputs lies in [2**14, 2**15)
 *     halves[part][p / ROW][o][octet OCTET(o, p % ROW / 8)][p % 8]: octets of pixels, moved so that 8 outputs' lie in different banks
 *     unscaled[p] = 2**-e; NaN where halves don't do: an infinity, a NaN, or more than an eighth of a pixel's numbers further than
 *     2**-DOUBT_BITS below its largest
 *
 * Work-item t: pixel t % TILE_PIXELS, outputs t / TILE_PIXELS + i * STRIPES; `grad` points at its pixel of the group's first output. */
#define DOUBT_BITS ${doubt_bits}
#define STRIPES (ITEMS / TILE_PIXELS)
#define GRAD_ROWS (CHUNKS * CHUNK)
#define GRAD_PART (GRAD_ROWS * TILE_PIXELS) /* halves */
#define ROW ${min(64, tile_pixels)}
#define ROW_THERE(o) (GRAD_ROWS % STRIPES == 0 || (o) < GRAD_ROWS)
#define ROW_REAL(o) (GRAD_ROWS % STRIPES == 0 && GROUP_OUT % CHUNK == 0 || (o) < GROUP_OUT)
% if tile_pixels == 32:
#define OCTET(o, octet) ((octet) ^ (o) / 2 % 4)
% else:
#define OCTET(o, octet) ((octet) ^ (o) % 8)
% endif

/* counted [ITEMS]. */
static inline void load_grad_halves(__global const data_t *grad, int pixels, __local ushort *halves, __local float *unscaled, __local float4 *counted)
{
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    float most = 0.0f;
    int strange = 0;
    #pragma unroll ${16 if unit == "wgmma" else 8}
    for (int row = 0; row < GRAD_ROWS; row += STRIPES) {
        const int o = row + t / TILE_PIXELS;
        const float size = ROW_REAL(o) ? fabs(load_data(grad, (index_t)o * pixels)) : 0.0f;
        most = fmax(most, size);
        strange |= !(size <= FLT_MAX);
    }
    counted[t].x = strange ? INFINITY : most;
    barrier(CLK_LOCAL_MEM_FENCE);
    #pragma unroll
    for (int i = 0; i < STRIPES; ++i) most = fmax(most, counted[i * TILE_PIXELS + mine].x);
    const float scale = scale_for(most);
    const float least = most * as_float((127u - DOUBT_BITS) << 23);
    float small = 0.0f, there = 0.0f;
    #pragma unroll ${16 if unit == "wgmma" else 8}
    for (int row = 0; row < GRAD_ROWS; row += STRIPES) {
        const int o = row + t / TILE_PIXELS;
        const float value = ROW_REAL(o) ? load_data(grad, (index_t)o * pixels) : 0.0f;
        small += value != 0.0f && fabs(value) < least;
        there += value != 0.0f;
        const float scaled = value * scale;
        __local ushort *to = halves + (mine / ROW * GRAD_ROWS + o) * ROW + OCTET(o, mine % ROW / 8) * 8 + mine % 8;
% if parts == 2:
        const float high = as_float(as_uint(scaled) & 0xffffe000u);
        const uint both = two_halves(high, scaled - high);
        if (ROW_THERE(o)) to[0] = (ushort)(both & 0xffffu);
        if (ROW_THERE(o)) to[GRAD_PART] = (ushort)(both >> 16);
% else:
        if (ROW_THERE(o)) to[0] = (ushort)(two_halves(scaled, 0.0f) & 0xffffu);
% endif
    }
    counted[t].y = small;
    counted[t].z = there;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < TILE_PIXELS) {
        small = there = 0.0f;
        #pragma unroll
        for (int i = 0; i < STRIPES; ++i) {
            small += counted[i * TILE_PIXELS + mine].y;
            there += counted[i * TILE_PIXELS + mine].z;
        }
        unscaled[mine] = !(most <= FLT_MAX) || 8.0f * small > there ? NAN : inverse(scale);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

% if unit == "mma":
/* The rows of grad_output that begin with output o and pixel p, 16 of each, as a fragment of the unit: pixels along its rows. */
static inline void load_grad_fragment(uint *a, __local const ushort *part, int o, int p)
{
    const int lane = (int)get_local_id(0) % 32;
    const int row = o + lane % 8 + lane / 16 * 8;
    __local const ushort *from = part + (p / ROW * GRAD_ROWS + row) * ROW + OCTET(row, p % ROW / 8 + lane / 8 % 2) * 8;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "l"(from) : "memory");
}
% endif
