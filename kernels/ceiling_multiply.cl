/* ceiling_multiply: independent chains of multiply-adds in registers: what a device's arithmetic is taken to be.
 *
 * result [work-items]: the sum of its chains, so that no compiler drops them. A work-item does 2 * VEC * CHAINS * turns operations. */
% if element == "double":
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
typedef ${element}${"" if vec == 1 else vec} vec_t;

__kernel void ceiling_multiply(__global ${element} *result, int turns)
{
    const vec_t factor = (vec_t)((${element})0.999f), term = (vec_t)((${element})get_global_id(0));
% for chain in range(chains):
    vec_t chain_${chain} = (vec_t)((${element})${chain});
% endfor
    for (int turn = 0; turn < turns; ++turn) {
% for chain in range(chains):
        chain_${chain} = fma(chain_${chain}, factor, term);
% endfor
    }
    const vec_t sum = ${" + ".join("chain_%d" % chain for chain in range(chains))};
    result[get_global_id(0)] = ${"sum" if vec == 1 else "sum.s0 + sum.s%x" % (vec - 1)};
}
