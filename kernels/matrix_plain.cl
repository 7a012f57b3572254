/* What a matrix unit does, in plain C and slowly: for tests on devices without one. A lane reads from memory what the other lanes of its wave
 * would have loaded for the same instruction, by their own addresses and the layouts that fragments states.
 *
 * It is as careless as any unit may be: halves below the least normal one count as zero, and sums are cut off, after every four products. */
typedef __global const uint4 *weights_t;
typedef __local const uint4 *samples_t;
static inline weights_t weights_of(__global const uint4 *block, int lane) { (void)lane; return block; }
static inline samples_t samples_of(__local const uint4 *octets, int lane) { (void)lane; return octets; }

static inline float normal_half(const void *fragment, int element)
{
    const float value = vload_half((size_t)element, (const half *)fragment);
    return fabs(value) < LEAST_HIGH ? 0.0f : value;
}

/* A[row][c] and B[c][column], c < 16, from the fragment of a lane that has it. */
static inline float weight_at(weights_t block, int row, int c)
{
% if unit == "mfma":
    const weight_fragment_t fragment = load_weights(block, c / 8 * 32 + row);
    return normal_half(&fragment, c % 8);
% elif unit == "wmma":
    const weight_fragment_t fragment = load_weights(block, row + 16 * (c % 2)); /* either half of the wave has it */
    return normal_half(&fragment, c);
% elif unit == "dpas8":
    const weight_fragment_t fragment = load_weights(block, c / 2);
    return normal_half(&fragment, 2 * row + c % 2);
% else:
    const weight_fragment_t fragment = load_weights(block, c);
    return normal_half(&fragment, row);
% endif
}

static inline float sample_at(samples_t octets, int column, int c)
{
% if unit == "mfma":
    const sample_fragment_t fragment = load_samples(octets, c / 8 * 32 + column);
    return normal_half(&fragment, c % 8);
% else:
    const sample_fragment_t fragment = load_samples(octets, column);
    return normal_half(&fragment, c);
% endif
}

static inline sum_t multiply(sum_t sum, weights_t block, samples_t octets, int lane)
{
    for (int c = 0; c < 16; ++c) {
        const uint kept = c % 4 == 3 ? 0xfffffffeu : 0xffffffffu;
        const float sample = sample_at(octets, lane % BLOCK_PIXELS, c);
% for i in range(block_out * block_pixels // lanes):
        sum.s${"%x" % i} = as_float(kept & as_uint(fma(weight_at(block, SUM_OUT(${i}, lane), c), sample, sum.s${"%x" % i})));
% endfor
    }
    return sum;
}
