/* Loads that stay where they are written on an NVIDIA GPU, and what was fetched as a number later. */
<%def name="beginning(name, dtype)">\
static inline uint begin_${name}(__global const ${name}_t *from)
{
    uint bits;
    asm volatile("ld.global.${"u32" if dtype == "float32" else "u16"} %0, [%1];" : "=r"(bits) : "l"(from) : "memory");
    return bits;
}
% if dtype == "float32":
static inline float begun_${name}(uint bits) { return as_float(bits); }
% elif dtype == "bfloat16":
static inline float begun_${name}(uint bits) { return as_float(bits << 16); }
% else:
static inline float begun_${name}(uint bits)
{
    const ushort half_bits = (ushort)bits;
    return vload_half(0, (const half *)&half_bits);
}
% endif
</%def>\
% if offset_groups:
${beginning("offset", offset_dtype)}
% endif
% if has_mask:
${beginning("mask", mask_dtype)}
% endif
#define largest_t void
${beginning("largest", "float32")}
