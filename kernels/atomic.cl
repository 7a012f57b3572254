/* atomic_add_acc(p, value): float add on global memory, in the best way that the device has; the result is not returned.
 * atomic_add_quad(p, values): the same for four numbers that lie together, 16 bytes aligned where they are floats. */
% if atomic == "ext":
/* cl_ext_float_atomics, in OpenCL C 3.0 */
#define atomic_acc_t ${"atomic_double" if accumulator == "float64" else "atomic_float"}
static inline void atomic_add_acc(__global acc_t *p, acc_t value)
{
    atomic_fetch_add_explicit((volatile __global atomic_acc_t *)p, value, memory_order_relaxed, memory_scope_device);
}
% elif atomic in ("nvidia", "nvidia_quads"):
/* NVIDIA: PTX's reduction, which its OpenCL C has no name for; from Hopper on also of quads */
static inline void atomic_add_acc(__global acc_t *p, acc_t value)
{
    asm volatile("red.global.add.${"f64" if accumulator == "float64" else "f32"} [%0], %1;" :: "l"(p), "${"d" if accumulator == "float64" else "f"}"(value) : "memory");
}
% elif atomic == "amd":
/* AMD: the compiler's builtin for global_atomic_add */
static inline void atomic_add_acc(__global acc_t *p, acc_t value)
{
    __builtin_amdgcn_global_atomic_fadd_${"f64" if accumulator == "float64" else "f32"}(p, value);
}
% else:
/* Compare and swap. The first read is atomic too, and each retry reuses what the last exchange returned: no data race. */
% if accumulator == "float64":
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#define bits_t ulong
#define FROM_BITS as_double
#define TO_BITS as_ulong
#define READ(p) atom_add(p, 0ul)
#define EXCHANGE atom_cmpxchg
% else:
#define bits_t uint
#define FROM_BITS as_float
#define TO_BITS as_uint
#define READ(p) atomic_or(p, 0u)
#define EXCHANGE atomic_cmpxchg
% endif
static inline void atomic_add_acc(__global acc_t *p, acc_t value)
{
    volatile __global bits_t *bits = (volatile __global bits_t *)p;
    bits_t seen = READ(bits), assumed;
    do {
        assumed = seen;
        seen = EXCHANGE(bits, assumed, TO_BITS(FROM_BITS(assumed) + value));
    } while (seen != assumed);
}
% endif

% if atomic == "nvidia_quads":
static inline void atomic_add_quad(__global float *p, float4 values)
{
    asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};"
        :: "l"(p), "f"(values.s0), "f"(values.s1), "f"(values.s2), "f"(values.s3)); /* nobody reads it in the same kernel */
}
% else:
static inline void atomic_add_quad(__global acc_t *p, ${"double4" if accumulator == "float64" else "float4"} values)
{
    atomic_add_acc(p, values.s0);
    atomic_add_acc(p + 1, values.s1);
    atomic_add_acc(p + 2, values.s2);
    atomic_add_acc(p + 3, values.s3);
}
% endif
