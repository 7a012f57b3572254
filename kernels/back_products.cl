/* sums += the products of a chunk of outputs, from output `out` on, for a warp's pixels and channels; `stage` is the weights of the warp's
 * channels. Needs matrix_back, matrix_nvidia, grad_halves.
% if unit == "wgmma":
 *
 * By Hopper's wgmma a team of 4 warps multiplies 64 pixels and 64 channels, both from local memory. What NVIDIA's OpenCL compiler doesn't
 * assemble stands in comments, see matrix_hopper. */
/* Local memory as descriptors say it: address / 16, the steps / 16 between octets of outputs and between eight rows, and in which way octets
 * change places. */
static inline ulong described(__local const void *from, ulong octets, ulong rows, ulong way)
{
    uint address;
    asm("cvt.u32.u64 %0, %1;" : "=r"(address) : "l"(from));
    return (ulong)((address >> 4) & 0x3fffu) | octets << 16 | rows << 32 | way << 62;
}

<%
sums = ["sum[%d][%d][%d]" % (n // 16, n // 4 % 4, n % 4) for n in range(32)]
registers = ", ".join("%%%d" % n for n in range(32))
%>\
static inline void multiply_team(float sum[2][4][4], ulong grads, ulong weights)
{
    asm volatile("/*sm_90a wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {${registers}}, %32, %33, 1, 1, 1, 1, 0; */"
        : ${", ".join('"+f"(%s)' % one for one in sums)} : "l"(grads), "l"(weights) : "memory");
}

static inline void add_products(float sum[2][4][4], __local const ushort *halves, __local const uint4 *stage, int out, int warp_pixel)
{
    const ulong grads = described(halves + (warp_pixel / ROW * GRAD_ROWS + out) * ROW, 64, 64, 1);
    const ulong weights = described(stage, 8, 16, 0);
    asm volatile("/*sm_90a wgmma.fence.sync.aligned; */" ::: "memory");
% for step in range(chunk // 16):
% for of_grad, of_weight in ((0, 0), (1, 0), (0, 1)) if parts == 2 else ((0, 0),):
    multiply_team(sum, grads + ${of_grad} * (GRAD_PART / 8) + ${step} * (16 * ROW / 8), weights + ${step * parts + of_weight} * (16 * 64 / 8));
% endfor
% endfor
    asm volatile("/*sm_90a wgmma.commit_group.sync.aligned; */" ::: "memory");
    asm volatile("/*sm_90a wgmma.wait_group.sync.aligned 0; */" : ${", ".join('"+f"(%s)' % one for one in sums)} :: "memory");
}
% else:
 */
static inline void add_products(float sum[2][4][4], __local const ushort *halves, __local const uint4 *stage, int out, int warp_pixel)
{
    const int lane = (int)get_local_id(0) % 32;
    #pragma unroll
    for (int s = 0; s < STEPS; s += STEPS_AT_ONCE) {
        uint a[2][2][4]; /* of both parts, or of two steps */
        #pragma unroll
        for (int i = 0; i < 4; ++i)
% if parts == 2:
            load_grad_fragment(a[i / 2][i % 2], halves + i / 2 * GRAD_PART, out + s * 16, warp_pixel + i % 2 * 16);
% else:
            load_grad_fragment(a[i / 2][i % 2], halves, out + (s + i / 2) * 16, warp_pixel + i % 2 * 16);
% endif
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const uint4 w = stage[(s / STEPS_AT_ONCE * 4 + j) * 32 + lane];
            #pragma unroll
            for (int m = 0; m < 2; ++m) {
                multiply(sum[m][j], a[0][m], w.s0, w.s1);
% if parts == 2:
                multiply(sum[m][j], a[1][m], w.s0, w.s1);
                multiply(sum[m][j], a[0][m], w.s2, w.s3);
% else:
                multiply(sum[m][j], a[1][m], w.s2, w.s3);
% endif
            }
        }
    }
}
% endif
## The next stage of a team's weights, which are those of every TEAMS-th tap; from the names that are in scope in the kernel.
<%def name="fetch_weights()">\
<%
stage_vecs = chunk * tile_channels * parts // 8
items = tile_pixels * tile_channels // 32
%>\
{
% for vec_ in range(0, stage_vecs, items):
            ${"" if vec_ + items <= stage_vecs else "if (own + %d < STAGE_VECS) " % vec_}copy_ahead(weights + (team * STAGES + ahead % STAGES) * STAGE_VECS + own + ${vec_}, stages + own + ${vec_});
% endfor
            ++ahead;
            stages += ${"STAGE_VECS" if teams == 1 else "(ahead % CHUNKS ? 1 : (TEAMS - 1) * CHUNKS + 1) * STAGE_VECS"};
        }\
</%def>\
<%def name="zero(sums)">\
#pragma unroll
            for (int i = 0; i < 32; ++i) ${sums}[i / 16][i / 4 % 4][i % 4] = 0.0f;\
</%def>\
