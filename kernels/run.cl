/* Runs: channels that are sampled together, innermost in memory, in vectors of WIDTH. A run has RUN channels, and zeros behind them up
 * to ROOM, a multiple of WIDTH. */
#define RUN ${run}
#define WIDTH ${run_width}
#define ROOM ((RUN + WIDTH - 1) / WIDTH * WIDTH)
% if run_width == 1:
#define run_vec_t acc_t
#define LOAD_RUN(p) (*(p))
#define STORE_RUN(value, p) (*(p) = (value))
% else:
#define run_vec_t ${"double" if accumulator == "float64" else "float"}${run_width}
#define LOAD_RUN(p) vload${run_width}(0, p)
#define STORE_RUN(value, p) vstore${run_width}(value, 0, p)
% endif
