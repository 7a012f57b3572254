## The products of a block by Hopper's wgmma: sum = grads x samples, 64 outputs of 128 columns a team of 4 warps, both from local memory:
## grads as they are packed, see grad_octets; samples [part][column / 8][octet of pixels][column % 8], so that eight columns' octets lie
## together. Needs matrix_hopper, weight_tile.
<%include file="described_rows.cl"/>
<%
sums = 64
product = "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%s}, %%%d, %%%d, %s, 1, 1, 0, 0;"
registers = ", ".join("%%%d" % n for n in range(sums))
%>\
/* sum (+)= 16 pixels' product, begun, not done; `first` forgets what was there. */
% for first in (0, 1):
static inline void ${("multiply_more", "multiply_first")[first]}(float *sum, ulong grads, ulong samples)
{
    asm volatile("/*sm_90a ${product % (registers, sums, sums + 1, 1 - first)} */"
        : ${", ".join('"+f"(sum[%d])' % n for n in range(sums))} : "l"(grads), "l"(samples) : "memory");
}
% endfor

/* Wait until the sums are there. */
static inline void sums_done(float *sum)
{
    asm volatile("/*sm_90a wgmma.wait_group.sync.aligned 0; */" : ${", ".join('"+f"(sum[%d])' % n for n in range(sums))} :: "memory");
}

/* Begin all of a team's products of a block. */
static inline void begin_block(__local const uint4 *grads, __local const uint4 *samples, float *sum)
{
    const int team = MY_ITEM / 128;
    const ulong a = described_rows(grads + team % (TILE_OUT / 64) * (64 * BLOCK / 8), ${1 if block == 64 else 2});
    const ulong b = described_rows(samples + team / (TILE_OUT / 64) * (TEAM_COLUMNS * BLOCK / 8), 0);
    begin_products();
% for step in range(block // 16):
% for of_a, of_b in ((0, 0), (1, 0), (0, 1)) if parts == 2 else ((0, 0),):
    ${"multiply_first" if step == of_a == of_b == 0 else "multiply_more"}(sum, a + ${of_a} * (TILE_OUT * BLOCK / 8) + ${2 * step}, b + ${of_b} * (COLUMNS * BLOCK / 8) + ${16 * step});
% endfor
% endfor
    close_products();
}
