/* Element types: storage (data_t, offset_t, mask_t), arithmetic (acc_t) and indices (index_t).
 * Arithmetic is float32 for all storage types but float64; half types are unpacked on load and rounded to nearest even on store,
 * which needs no cl_khr_fp16. */
% if "float64" in (dtype, accumulator):
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
% if accumulator == "float64":
#define acc_t double
#define ACC(literal) literal
% else:
#define acc_t float
#define ACC(literal) literal##f
% endif
#define index_t ${"long" if wide else "int"}

% if "bfloat16" in (dtype, offset_dtype, mask_dtype):
static inline ushort bfloat16_bits(float value)
{
    const uint bits = as_uint(value);
    const uint nearest_even = bits + 0x7fffu + ((bits >> 16) & 1u);
    return (ushort)((isnan(value) ? (bits | 0x400000u) : nearest_even) >> 16);
}
% endif

<%def name="storage(name, dtype)">
% if dtype == "float16":
#define ${name}_t half
static inline acc_t load_${name}(__global const half *p, index_t i) { return vload_half((size_t)i, p); }
static inline void store_${name}(__global half *p, index_t i, acc_t value) { vstore_half_rte(value, (size_t)i, p); }
% elif dtype == "bfloat16":
#define ${name}_t ushort
static inline acc_t load_${name}(__global const ushort *p, index_t i) { return as_float((uint)p[i] << 16); }
static inline void store_${name}(__global ushort *p, index_t i, acc_t value) { p[i] = bfloat16_bits(value); }
% else:
#define ${name}_t ${"double" if dtype == "float64" else "float"}
static inline acc_t load_${name}(__global const ${name}_t *p, index_t i) { return (acc_t)p[i]; }
static inline void store_${name}(__global ${name}_t *p, index_t i, acc_t value) { p[i] = (${name}_t)value; }
% endif
</%def>
${storage("data", dtype)}
${storage("offset", offset_dtype)}
${storage("mask", mask_dtype)}
