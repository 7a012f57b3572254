## Copies from global to local memory by Hopper's copy engine: one work-item begins one, none is held up, and the matrix units see what came. Needs
## matrix_hopper.
/* A place that counts bytes which come, in turns: when so many have said what they expect, and all that has come, a turn is over. */
static inline void begin_arrivals(__local ulong *arrived, uint expecting)
{
    asm volatile("/*sm_90a mbarrier.init.shared::cta.b64 [%0], %1; fence.proxy.async.shared::cta; */"
        :: "r"(local_address(arrived)), "r"(expecting) : "memory");
}
static inline void expect_bytes(__local ulong *arrived, uint bytes)
{
    asm volatile("/*sm_90a mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1; */" :: "r"(local_address(arrived)), "r"(bytes) : "memory");
}
static inline void copy_bulk(__local uint4 *to, __global const uint4 *from, uint bytes, __local ulong *arrived)
{
    asm volatile("/*sm_90a cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3]; */"
        :: "r"(local_address(to)), "l"(from), "r"(bytes), "r"(local_address(arrived)) : "memory");
}

/* Wait until turn 0, 2, 4.. (parity 0) or 1, 3, 5.. is over. */
static inline void wait_for_arrivals(__local ulong *arrived, uint parity)
{
    asm volatile("/*sm_90a { .reg .pred over; again: mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1; @!over bra again; } */"
        :: "r"(local_address(arrived)), "r"(parity) : "memory");
}
