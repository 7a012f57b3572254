/* The product of small blocks that stay in a CPU's caches, its sums in registers; memory is read as vectors. Needs vector.
 *
 *     sums[r][j] += sum over k < depth: a[r * a_row + k * a_depth] * b[k * b_depth + j]      r < ITEM_ROWS, j < TILE = ITEM_VECS * VEC
 *
 * The sum over k is made by itself and then added to what was there, so that long sums round in stages; or takes its place (add = 0). */
#define ITEM_ROWS ${item_rows}
#define ITEM_VECS ${item_vecs}
#define TILE (ITEM_VECS * VEC)

/* Not inlined: compilers else keep other loops' constants in registers that the sums need. */
__attribute__((noinline))
static void multiply(__global const acc_t *a, index_t a_row, index_t a_depth, __global const acc_t *b, int b_depth,
                     __global acc_t *sums, int sums_row, int depth, int add)
{
% for r in range(item_rows):
    vec_t ${", ".join("sum_%d_%d = (vec_t)(ACC(0.0))" % (r, v) for v in range(item_vecs))};
% endfor
    for (int k = 0; k < depth; ++k) {
% for v in range(item_vecs):
        const vec_t b_${v} = LOAD_VEC(0, b + k * b_depth + ${v} * VEC);
% endfor
% for r in range(item_rows):
        const vec_t a_${r} = (vec_t)(a[${r} * a_row + k * a_depth]);
% for v in range(item_vecs):
        sum_${r}_${v} = fma(a_${r}, b_${v}, sum_${r}_${v});
% endfor
% endfor
    }
% for r in range(item_rows):
% for v in range(item_vecs):
    STORE_VEC(add ? LOAD_VEC(0, sums + ${r} * sums_row + ${v} * VEC) + sum_${r}_${v} : sum_${r}_${v}, 0, sums + ${r} * sums_row + ${v} * VEC);
% endfor
% endfor
}
