<%namespace name="channels" file="sample_channels.cl"/>\
/* Samples of a run that narrow groups take as they are made: neither goes through memory. Needs narrow and sample_channels.
 *
 *     sums[lane][j] += sum over k < count, i < NARROW: spread_i(scale * B)[j] * factors[k][i][j]        at VEC places of each k */
static inline void add_samples(const samples_t *samples, __global const acc_t *image, __global const acc_t *factors, __global acc_t *sums,
                               int count)
{
    for (int lane = 0; lane < VEC; ++lane) {
% for v in range(run // vec):
        vec_t sum_${v} = LOAD_VEC(${v}, sums + lane * RUN);
% endfor
        for (int k = 0; k < count; ++k) {
            const samples_t *at = samples + k;
% for v in range(run // vec):
            {
                const vec_t value = ${channels.value("at", "LOAD_VEC(%d, image + %%s)" % v)};
% for i in range(narrow):
                sum_${v} = fma(spread_${i}(value), LOAD_VEC(${v}, factors + (k * NARROW + ${i}) * RUN), sum_${v});
% endfor
            }
% endfor
        }
% for v in range(run // vec):
        STORE_VEC(sum_${v}, ${v}, sums + lane * RUN);
% endfor
    }
}
