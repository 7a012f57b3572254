<%page args="tile_out, roomy=False"/>\
/* Hopper's matrix unit, wgmma: sums += samples x weights, 64 pixels a warpgroup of 4 warps, as matrix_nvidia has it; or what a kernel has in
 * their places.
 *
 * What NVIDIA's OpenCL compiler doesn't assemble stands in PTX comments that begin with sm_90a, or with entry where it is said of the whole
 * kernel; nvidia.py brings it out. */

/* Local memory as Hopper's instructions address it. */
static inline uint local_address(__local const void *at)
{
    uint address;
    asm("cvt.u32.u64 %0, %1;" : "=r"(address) : "l"(at));
    return address;
}

/* Local memory as its descriptors say it: address / 16, then the steps / 16 between blocks of 8 places (128 bytes) and 8 columns (256). */
static inline ulong described(__local const void *weights)
{
    return (ulong)((local_address(weights) >> 4) & 0x3fffu) | 8ul << 16 | 16ul << 32;
}

/* What any wrote to local memory before a barrier the matrix units see from here on: said behind it, not where it was written, it waits for
 * nothing that was fetched since. */
static inline void see_written(void) { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

% if roomy:
/* The kernel has registers as if for one work-group a multiprocessor: the assembler would have it do with fewer, so that more may fit. */
% endif
<% entry = "/*entry .minnctapersm 1*/" if roomy else "" %>\
/* What was written to registers is seen by the products that follow. */
static inline void begin_products(void) { asm volatile("/*sm_90a wgmma.fence.sync.aligned; */${entry}" ::: "memory"); }
static inline void close_products(void) { asm volatile("/*sm_90a wgmma.commit_group.sync.aligned; */" ::: "memory"); }

<% sums = tile_out // 2 %>\
<%def name="product(sums)">\
wgmma.mma_async.sync.aligned.m64n${tile_out}k16.f32.f16.f16 {${", ".join("%%%d" % n for n in range(sums))}}, \
{%${sums}, %${sums + 1}, %${sums + 2}, %${sums + 3}}, %${sums + 4}, keep, 1, 1, 0;\
</%def>\
/* sums (+)= one step's product, for ${tile_out} columns; begun, not done. Without `keep`, what was in sums is forgotten. */
static inline void multiply(float *sum, const uint *a, ulong weights, int keep)
{
    asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %${sums + 5}, 0;\n/*sm_90a ${product(sums)} */\n}"
        : ${", ".join('"+f"(sum[%d])' % n for n in range(sums))}
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(weights), "r"(keep) : "memory");
}

<%
factors = 8 * vec // 4 * parts
outputs = ['"+f"(sum[%d])' % n for n in range(sums)]
wait = "/*sm_90a wgmma.wait_group.sync.aligned 0; */"
%>\
/* Wait until the sums are there. Registers that a product reads are named until then, or compilers give them to others. */
static inline void products_done(float *sum, uint *a)
{
    asm volatile("${wait}" : ${", ".join(outputs + ['"+r"(a[%d])' % n for n in range(factors)])} :: "memory");
}

/* The same, and what was made for the next step meanwhile takes the samples' place, by instructions behind the wait: where it was made in
 * that place, NVIDIA's assembler has each product wait for the one before. */
static inline void products_done_take(float *sum, uint *a, const uint *next)
{
    asm volatile("${wait}${" ".join("mov.b32 %%%d, %%%d;" % (sums + n, sums + factors + n) for n in range(factors))}"
        : ${", ".join(outputs + ['"=&r"(a[%d])' % n for n in range(factors)])} : ${", ".join('"r"(next[%d])' % n for n in range(factors))} : "memory");
}
