/* Intel's matrix units by cl_intel_subgroup_matrix_multiply_accumulate; layouts see fragments. Eight stages add two products each to a float32
 * (IGC's documentation of DPAS); how they round isn't said, so the same care is taken as elsewhere. */
#ifndef cl_intel_subgroup_matrix_multiply_accumulate
#error "the compiler has no matrix unit for this device"
#endif

typedef weight_fragment_t weights_t;
typedef sample_fragment_t samples_t;
#define weights_of load_weights
#define samples_of load_samples

static inline sum_t multiply(sum_t sum, weights_t weights, samples_t samples, int lane)
{
    (void)lane; /* the instruction knows it */
    return intel_sub_group_f16_f16_matrix_mad_k16(as_${"int8" if unit == "dpas8" else "short8"}(weights), as_int8(samples), sum);
}
