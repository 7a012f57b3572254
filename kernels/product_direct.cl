/* The product (see there) of a block whose rows lie in memory already: each pair of a run and a tap has, for each row, the index of its run
 * of channels in last. Needs product and run; TILE_PIXELS rows a pair. */
__attribute__((noinline))
static void multiply_direct(__global const acc_t *last, const index_t *at, __global const acc_t *b, __global acc_t *sums, int pairs)
{
% for r in range(item_rows):
    vec_t ${", ".join("sum_%d_%d = (vec_t)(ACC(0.0))" % (r, v) for v in range(item_vecs))};
% endfor
    for (int j = 0; j < pairs; ++j, at += TILE_PIXELS) {
% for r in range(item_rows):
        __global const acc_t *row_${r} = last + at[${r}];
% endfor
        for (int k = 0; k < ROOM; ++k, b += TILE) {
% for v in range(item_vecs):
            const vec_t b_${v} = LOAD_VEC(${v}, b);
% endfor
% for r in range(item_rows):
            const vec_t a_${r} = (vec_t)(row_${r}[k]);
% for v in range(item_vecs):
            sum_${r}_${v} = fma(a_${r}, b_${v}, sum_${r}_${v});
% endfor
% endfor
        }
    }
% for r in range(item_rows):
% for v in range(item_vecs):
    STORE_VEC(LOAD_VEC(${v}, sums + ${r} * TILE) + sum_${r}_${v}, ${v}, sums + ${r} * TILE);
% endfor
% endfor
}
