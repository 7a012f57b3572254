/* AMD's matrix units by the builtins of its compiler; layouts see fragments.
 *
 * How they round what they add isn't documented, and differs (arXiv:2403.00232, arXiv:2511.10909): whoever needs float32's accuracy sums a
 * chunk of channels from zero and adds that by an ordinary addition. */
<% builtin = {"mfma": "__builtin_amdgcn_mfma_f32_32x32x8f16", "wmma": "__builtin_amdgcn_wmma_f32_16x16x16_f16_w32"}[unit] %>\
#if !__has_builtin(${builtin})
#error "the compiler has no such matrix unit for this device"
#endif
#pragma OPENCL EXTENSION cl_khr_fp16 : enable

typedef weight_fragment_t weights_t;
typedef sample_fragment_t samples_t;
#define weights_of load_weights
#define samples_of load_samples

static inline sum_t multiply(sum_t sum, weights_t weights, samples_t samples, int lane)
{
    (void)lane; /* the instruction knows it */
% if unit == "mfma":
    sum = ${builtin}(as_half4(weights.lo), as_half4(samples.lo), sum, 0, 0, 0);
    return ${builtin}(as_half4(weights.hi), as_half4(samples.hi), sum, 0, 0, 0);
% else:
    return ${builtin}(as_half16(weights), as_half16(samples), sum);
% endif
}
