/* Vectors of VEC elements of acc_t, as they are loaded from and stored to memory of acc_t and of data_t, offset_t and mask_t,
 * and the transpose of VEC of them. Kernels whose work-items are threads say by vec_type_hint that they have vectors already: Intel's compiler
 * would make each a second time, across work-items, and take up to three times as long. */
#define VEC ${vec}
#define vec_t ${"double" if accumulator == "float64" else "float"}${vec}
#define LOAD_VEC vload${vec}
#define STORE_VEC vstore${vec}

% if "bfloat16" in (dtype, offset_dtype, mask_dtype):
static inline ushort${vec} bfloat16_bits_vec(vec_t value)
{
    const uint${vec} bits = as_uint${vec}(value);
    const uint${vec} nearest_even = bits + 0x7fffu + ((bits >> 16) & 1u);
    return convert_ushort${vec}((isnan(value) ? bits | 0x400000u : nearest_even) >> 16);
}
% endif

/* floor of a vector; the elements of two vectors that have even indices, or odd ones. PoCL compiles for the host's processor: there the
 * compiler has builtins, while of OpenCL's own floor it makes a dozen instructions, and of a vector's .even and .odd many more than one. */
#if defined(__x86_64__) || defined(__aarch64__)
#define EVENS(a, b) __builtin_shufflevector(a, b, ${", ".join(str(2 * element) for element in range(vec))})
#define ODDS(a, b) __builtin_shufflevector(a, b, ${", ".join(str(2 * element + 1) for element in range(vec))})
#if __has_builtin(__builtin_elementwise_floor)
#define floor_lanes __builtin_elementwise_floor
#endif
#else
#define EVENS(a, b) (vec_t)((a).even, (b).even)
#define ODDS(a, b) (vec_t)((a).odd, (b).odd)
#endif
#ifndef floor_lanes
#define floor_lanes floor
#endif

<%def name="storage(name, dtype)">
% if dtype == "float16":
static inline vec_t load_${name}_vec(__global const half *p, index_t i) { return vload_half${vec}(0, p + i); }
static inline void store_${name}_vec(__global half *p, index_t i, vec_t value) { vstore_half${vec}_rte(value, 0, p + i); }
% elif dtype == "bfloat16":
static inline vec_t load_${name}_vec(__global const ushort *p, index_t i) { return as_float${vec}(convert_uint${vec}(LOAD_VEC(0, p + i)) << 16); }
static inline void store_${name}_vec(__global ushort *p, index_t i, vec_t value) { STORE_VEC(bfloat16_bits_vec(value), 0, p + i); }
% elif (dtype == "float64") == (accumulator == "float64"):
static inline vec_t load_${name}_vec(__global const ${name}_t *p, index_t i) { return LOAD_VEC(0, p + i); }
static inline void store_${name}_vec(__global ${name}_t *p, index_t i, vec_t value) { STORE_VEC(value, 0, p + i); }
% endif
</%def>
${storage("data", dtype)}
${storage("offset", offset_dtype)}
${storage("mask", mask_dtype)}

## Statements that transpose `count` = VEC vectors, variables row_0, row_1, ..: element j of row r and element r of row j
## change places. In each of the turns the lowest bit of an element's index becomes the highest of its row's, and the lowest of the row's
## the highest of the element's. Written by halves: compilers take long for vectors that are put together of elements.
<%def name="transpose(count)">
<%
    turns, half = count.bit_length() - 1, count // 2
    row = lambda turn, r: "row_%d" % r if turn == 0 else "row_%d_%d" % (turn, r)
%>\
    {
% for turn in range(turns):
% for r in range(half):
<% a, b = row(turn, 2 * r), row(turn, 2 * r + 1) %>\
        const vec_t ${row(turn + 1, r)} = EVENS(${a}, ${b}), ${row(turn + 1, half + r)} = ODDS(${a}, ${b});
% endfor
% endfor
% for r in range(count):
        row_${r} = ${row(turns, r)};
% endfor
    }
</%def>

## Statements that leave in row_0 the sums of `count` vectors' `count` elements, variables row_0, row_1, ..: row r's in element r. Pairs of
## rows become one, bit by bit of an element's index: an element takes its own and its neighbour's from the row that the bit says.
<%def name="sum_rows(count)">
<% row_t = "%s%d" % ("double" if accumulator == "float64" else "float", count) %>\
% for bit in [1 << place for place in range(count.bit_length() - 1)]:
% for r in range(0, count, 2 * bit):
    row_${r} = (${row_t})(${", ".join("row_%d.s%x" % (r + (e & bit), e) for e in range(count))})
        + (${row_t})(${", ".join("row_%d.s%x" % (r + (e & bit), e ^ bit) for e in range(count))});
% endfor
% endfor
</%def>
