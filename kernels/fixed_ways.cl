/* fixed_ways: how the sums of each pixel are kept (see fixed), from what reaches it (see fixed_reach).
 *
 *     ways[g][pixel] = way of its reach, and of the sum of samples over the cells of which the pixel is a corner: the largest such sum of the
 *                      TOGETHER groups that share a block of channels with g
 *
 * All as pixels of the ring (see ring), with a row of width + 1. Work-item i: pixel i of all groups' (the rest idle). */
<%include file="types.cl"/>
#define IN_CHANNELS 0
#define TOGETHER ${together}
<%include file="fixed.cl"/>

__kernel void fixed_ways(
    __global const uint2 *restrict reach, __global uchar *restrict ways, int width, int pixels, int groups)
{
    const long i = (long)get_global_id(0);
    if (i >= (long)pixels * groups) return;
    const int pixel = (int)(i % pixels);
    const int steps[4] = {0, 1, width + 1, width + 2};
    uint most = 0;
    for (int group = 0; group < TOGETHER; ++group) {
        const long first = (i / pixels / TOGETHER * TOGETHER + group) * pixels + pixel;
        uint count = 0;
        for (int corner = 0; corner < ${corners}; ++corner)
            if (pixel >= steps[corner]) count += min(reach[first - steps[corner]].s1, 1u << 20);
        most = max(most, count);
    }
    ways[i] = fixed_way(reach[i].s0, most);
}
