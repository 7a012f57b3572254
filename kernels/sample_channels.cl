/* Samples for CPUs: a run of channels at each of VEC places, see places.
 *
 * image [H * W + 1][ROOM] of acc_t, channels innermost: pixel `outside` = H * W is zeros. Needs sample and run. */
<%include file="places.cl"/>
#define CONVERT_INDEX convert_${"long" if wide else "int"}${vec}
/* Numbers of VEC places, written at once and read one by one. Some vstores are several stores. */
typedef union {
    ${"long" if wide else "int"}${vec} all;
    index_t lane[VEC];
} indices_t;
typedef union {
    vec_t all;
    acc_t lane[VEC];
} numbers_t;
typedef struct {
    indices_t corner[CORNERS]; /* first channel of the pixel, an index into image */
    numbers_t weight[CORNERS];
    numbers_t scale;
} samples_t;

static inline void keep_samples(samples_t *samples, sample_lanes_t s, vec_t scale, int outside)
{
    #pragma unroll
    for (int i = 0; i < CORNERS; ++i) {
        const lanes_t pixel = s.corner[i] >= 0 ? s.corner[i] : (lanes_t)(outside);
        samples->corner[i].all = CONVERT_INDEX(pixel) * ROOM;
        samples->weight[i].all = corner_weight_lanes(s, i);
    }
    samples->scale.all = scale;
}

## scale * B at place `lane` of samples `at`, in vectors; `load` has %s where the pixel's index goes.
<%def name="value(at, load)"><%
    corners = ["%s->weight[%d].lane[lane] * " % (at, corner) + load % ("%s->corner[%d].lane[lane]" % (at, corner)) for corner in range(4 if offset_groups else 1)]
%>${at}->scale.lane[lane] * (${" + ".join(corners)})</%def>\
/* rows[lane * stride + c] = scale * B at VEC places, for the run's channels c. */
static inline void sample_run(const samples_t *samples, __global const acc_t *image, __global acc_t *rows, int stride)
{
    for (int lane = 0; lane < VEC; ++lane)
        for (int c = 0; c < ROOM; c += WIDTH) STORE_RUN(${value("samples", "LOAD_RUN(image + %s + c)")}, rows + lane * stride + c);
}
