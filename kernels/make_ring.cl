/* What ring_last does, for work-group `work_group` of ITEMS work-items. Numbers are moved as they are, PER_WORD neighbouring channels at a
 * time in a word_t. Where a word is one channel, a block arrives while the last one leaves; with two that was slower. */
<% ahead = per_word == 1 %>\
#define CHANNELS ${channels}
#define PER_WORD ${per_word}
#define WORDS (BLOCK / PER_WORD)
#define ROWS (ITEMS / TILE_PIXELS)
#define ITEM_WORDS (WORDS / ROWS)
#define ROW (TILE_PIXELS + 1)
#define bits_t ${{2: "ushort", 4: "uint", 8: "ulong"}[bits // 8]}
#define word_t ${{2: "ushort", 4: "uint", 8: "ulong"}[bits // 8 * per_word]}
% if sizes:
#define NEW_PIXELS (TILE_PIXELS - 1) /* the last is here for its neighbour's sake */

/* The magnitude of channel `part` of a word. */
static inline float magnitude(word_t word, int part)
{
% if dtype == "float32":
    (void)part;
    return fabs(as_float(word));
% elif dtype == "bfloat16":
    return fabs(as_float((uint)word >> 16 * part << 16));
% else:
    const ushort bits = (ushort)(word >> 16 * part);
    return fabs(vload_half(0, (const half *)&bits));
% endif
}

/* The upper bits, as bfloat16, rounded up. */
static inline uint upper_bits(float size) { return (as_uint(size) + 0xffffu) >> 16; }
% else:
#define NEW_PIXELS TILE_PIXELS
% endif

/* A work-item's words of the block of channels that begins at `begin`, 0 where there is no pixel or channel. */
static inline void load_words(word_t word[ITEM_WORDS], __global const bits_t *from, index_t plane, int begin, int inside)
{
    #pragma unroll
    for (int i = 0; i < ITEM_WORDS; ++i) {
        const int c = begin + ((int)get_local_id(0) / TILE_PIXELS + i * ROWS) * PER_WORD;
        word[i] = 0;
        if (inside && (CHANNELS % BLOCK == 0 || c < CHANNELS))
            word[i] = ${" | ".join("(word_t)from[(c + %d) * plane]%s" % (part, " << %d" % (bits * part) if part else "") for part in range(per_word))};
    }
}

% if sizes:
/* The least channels, but for zeros, of those seen so far and these words': the least and the next. */
static inline void find_least(float *least, float *next, const word_t word[ITEM_WORDS])
{
    #pragma unroll
    for (int i = 0; i < ITEM_WORDS * PER_WORD; ++i) {
        const float size = magnitude(word[i / PER_WORD], i % PER_WORD), there = size > 0.0f ? size : INFINITY;
        *next = fmin(*next, fmax(*least, there));
        *least = fmin(*least, there);
    }
}

% endif
static inline void make_ring(
    int work_group, __local word_t *tile, ${"__local float *most_of, __local int *doubted, " if sizes else ""}
    __global const data_t *restrict input, __global data_t *restrict ring, ${"__global uint *restrict largest, " if sizes else ""}
    int batch, int height, int width)
{
    const int t = (int)get_local_id(0);
    const int mine = t % TILE_PIXELS;
    const int image = (height + 1) * (width + 1);
    const int first = work_group * NEW_PIXELS;
    const int new_pixels = min(width + 3 + batch * image - first, NEW_PIXELS);

    const int pixel = first + mine - (width + 3);
    const int n = pixel / image;
    const int row = pixel % image / (width + 1);
    const int column = pixel % image % (width + 1);
    const int inside = pixel >= 0 && n < batch && row < height && column < width;
    __global const bits_t *from = (__global const bits_t *)input + (inside ? ((index_t)n * CHANNELS * height + row) * width + column : 0);
    __global word_t *to = (__global word_t *)ring + (index_t)first * (CHANNELS / PER_WORD);
    const index_t plane = (index_t)height * width;
% if sizes:
    float pixel_most = 0.0f, least = INFINITY, next = INFINITY; /* the item's least channel; the next, or a block's largest */
    if (t < TILE_PIXELS) doubted[t] = 0;
% endif

    word_t word[ITEM_WORDS];
% if ahead:
    load_words(word, from, plane, 0, inside);
% endif
    for (int begin = 0; begin < CHANNELS; begin += BLOCK) {
% if not ahead:
        load_words(word, from, plane, begin, inside);
% endif
        #pragma unroll
        for (int i = 0; i < ITEM_WORDS; ++i) tile[(t / TILE_PIXELS + i * ROWS) * ROW + mine] = word[i];
% if sizes:
        float most = 0.0f;
        #pragma unroll
        for (int i = 0; i < ITEM_WORDS * PER_WORD; ++i) most = fmax(most, magnitude(word[i / PER_WORD], i % PER_WORD));
        most_of[t] = most;
% endif
% if ahead:
% if sizes:
        find_least(&least, &next, word);
% endif
        if (begin + BLOCK < CHANNELS) load_words(word, from, plane, begin + BLOCK, inside);
% endif
        barrier(CLK_LOCAL_MEM_FENCE);
% if sizes:
        #pragma unroll
        for (int i = 0; i < ROWS; ++i) most = fmax(most, most_of[i * TILE_PIXELS + mine]);
% if not ahead:
        find_least(&least, &next, word);
% endif
        pixel_most = fmax(pixel_most, most);
        if (most > 0.0f) next = fmin(next, most);
% endif
        #pragma unroll
        for (int i = t; i < NEW_PIXELS * WORDS; i += ITEMS) {
            const int c = i % WORDS, p = i / WORDS;
            if (p < new_pixels && (CHANNELS % BLOCK == 0 || begin + c * PER_WORD < CHANNELS))
                to[p * (CHANNELS / PER_WORD) + begin / PER_WORD + c] = tile[c * ROW + p];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% if sizes:
    if (next < pixel_most * as_float((127u - DOUBT_BITS) << 23)) doubted[mine] = 1;
    if (t < TILE_PIXELS) most_of[t] = pixel_most;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < new_pixels)
        largest[first + t] = upper_bits(doubted[t] ? INFINITY : pixel_most) | upper_bits(doubted[t + 1] ? INFINITY : most_of[t + 1]) << 16;
% endif
}
