/* sample_ring: samples of neighbouring channels at one place of a ring, VEC channels at a time. Needs types, shape, plan.
 *
 * value[0 .. CHANNELS) = mask * B of channels [channel, channel + CHANNELS); `below` is a row of the ring, in elements. */
#define VEC ${vec}
#define CHANNELS_AT_ONCE ${channels_at_once}
% if vec > 1 and dtype == "float16":
static inline float half_of(ushort bits) { return vload_half(0, (const half *)&bits); }
% endif
% if vec == 1:
#define vec_t acc_t
static inline vec_t load_ring(__global const data_t *p) { return load_data(p, 0); }
% else:
#define vec_t ${"double" if accumulator == "float64" else "float"}${vec}
% if dtype == "float16":
/* One load of all, for not every compiler makes one of vload_half. */
static inline vec_t load_ring(__global const data_t *p)
{
    const ushort${vec} bits = *(__global const ushort${vec} *)p;
    return (vec_t)(${", ".join("half_of(bits.s%x)" % n for n in range(vec))});
}
% elif dtype == "bfloat16":
static inline vec_t load_ring(__global const data_t *p) { return as_float${vec}(convert_uint${vec}(*(__global const ushort${vec} *)p) << 16); }
% else:
static inline vec_t load_ring(__global const data_t *p) { return *(__global const vec_t *)p; }
% endif
% endif

static inline void sample_ring(__global const data_t *restrict ring, plan_t p, int channel, int below, acc_t *value)
{
    __global const data_t *from = ring + (index_t)PLAN_PIXEL(p) * IN_CHANNELS + channel;
    (void)below; /* an ordinary convolution has one corner */
    #pragma unroll
    for (int c = 0; c < CHANNELS_AT_ONCE; c += VEC) {
% if offset_groups:
        const vec_t top = (ACC(1.0) - p.w) * load_ring(from + c) + p.w * load_ring(from + c + IN_CHANNELS);
        const vec_t bottom = (ACC(1.0) - p.w) * load_ring(from + c + below) + p.w * load_ring(from + c + below + IN_CHANNELS);
        const vec_t v = p.y * ((ACC(1.0) - p.z) * top + p.z * bottom);
% else:
        const vec_t v = load_ring(from + c);
% endif
% for i in range(vec):
        value[c + ${i}] = v${"" if vec == 1 else ".s%x" % i};
% endfor
    }
}
