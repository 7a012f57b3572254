/* fixed_ways: how the sums of each pixel are kept (see fixed), from what reaches it (see fixed_reach).
 *
 *     ways[g][pixel] = way of its reach, the same number of bits for all of the TOGETHER groups that share a block of channels with g
 *
 * All as pixels of the ring (see ring). Work-item i: pixel i of all groups' (the rest idle). */
<%include file="types.cl"/>
#define IN_CHANNELS 0
#define TOGETHER ${together}
<%include file="fixed.cl"/>

__kernel void fixed_ways(__global const uint2 *restrict reach, __global uchar *restrict ways, int pixels, int groups)
{
    const long i = (long)get_global_id(0);
    if (i >= (long)pixels * groups) return;
    int few = 1;
    for (int group = 0; group < TOGETHER; ++group) {
        const uint2 its = reach[(i / pixels / TOGETHER * TOGETHER + group) * pixels + i % pixels];
        few &= fixed_suffices(as_float(its.s0), its.s1);
    }
    ways[i] = fixed_way(as_float(reach[i].s0), reach[i].s1, few);
}
