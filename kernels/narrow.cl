/* Products of groups so narrow that a vector holds whole ones: column j takes the NARROW columns of its own group alone, so that nothing of
 * another group, no NaN either, comes near it. Such groups are joined to groups of a run. Needs vector and run.
 *
 *     spread_i(v)[j] = v[j / NARROW * NARROW + i] */
#define NARROW ${narrow}
% for i in range(narrow):
static inline vec_t spread_${i}(vec_t v) { return (vec_t)(${", ".join("v.s%x" % (j // narrow * narrow + i) for j in range(vec))}); }
% endfor

/* sums[p][j] = or += sum over k < depth, i < NARROW: spread_i(a[p][k])[j] * factors[k][i][j]        a [count][a_row >= depth * RUN] */
static void multiply_narrow(__global const acc_t *a, int a_row, __global const acc_t *factors, __global acc_t *sums, int sums_row,
                            int count, int depth, int add)
{
    for (int v = 0; v < RUN; v += VEC)
        for (int p = 0; p < count; ++p) {
            vec_t sum = (vec_t)(ACC(0.0));
            for (int k = 0; k < depth; ++k) {
                const vec_t values = LOAD_VEC(0, a + p * a_row + k * RUN + v);
% for i in range(narrow):
                sum = fma(spread_${i}(values), LOAD_VEC(0, factors + (k * NARROW + ${i}) * RUN + v), sum);
% endfor
            }
            __global acc_t *to = sums + p * sums_row + v;
            STORE_VEC(add ? LOAD_VEC(0, to) + sum : sum, 0, to);
        }
}

/* sums[i][j] += sum over p < count: spread_i(a[p])[j] * b[p][j]        a [count][RUN], b [count][b_row >= RUN] */
static void multiply_narrow_over_pixels(__global const acc_t *a, __global const acc_t *b, int b_row, __global acc_t *sums, int count)
{
    for (int v = 0; v < RUN; v += VEC) {
% for i in range(narrow):
        vec_t sum_${i} = (vec_t)(ACC(0.0));
% endfor
        for (int p = 0; p < count; ++p) {
            const vec_t values = LOAD_VEC(0, a + p * RUN + v);
            const vec_t factors = LOAD_VEC(0, b + p * b_row + v);
% for i in range(narrow):
            sum_${i} = fma(spread_${i}(values), factors, sum_${i});
% endfor
        }
% for i in range(narrow):
        STORE_VEC(LOAD_VEC(0, sums + ${i} * RUN + v) + sum_${i}, 0, sums + ${i} * RUN + v);
% endfor
    }
}
