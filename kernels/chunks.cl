/* The input's channels cut into chunks of at most CHUNK that one task owns. A chunk lies inside one convolution group, and inside
 * one sample group or over whole ones; UNIT is the run of channels in which this can be kept by counting from its start. */
#define CHUNK ${chunk}
#define UNIT ${unit}
#define UNIT_CHUNKS ((UNIT + CHUNK - 1) / CHUNK)
#define CHUNKS (IN_CHANNELS / UNIT * UNIT_CHUNKS)

static inline int chunk_begin(int chunk) { return chunk / UNIT_CHUNKS * UNIT + chunk % UNIT_CHUNKS * CHUNK; }
static inline int chunk_end(int chunk) { return min(chunk_begin(chunk) + CHUNK, (chunk / UNIT_CHUNKS + 1) * UNIT); }
