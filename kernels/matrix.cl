/* How matrix units share out a product of halves, pixels x channels times channels x outputs: which lane holds what, and where the packed
 * weight lies. Steps are of 16 channels; a chunk is of two units of LANES * VEC channels (VEC: 16 bytes).
 *
 *     lane l: pixels l / LANES and l / LANES + 8 of its warp's 16; channels (l % LANES) * VEC .. + VEC of each unit
 *
 * The order of channels in a step is free as long as both factors agree: a lane's VEC channels are its share of VEC / 4 steps, four
 * channels each: at the step's places 2q, 2q + 1, 2q + 8 and 2q + 9 (q = l % LANES), as NVIDIA's fragments want them.
 *
 * A stage is the weight of one chunk of channels at one tap: CHUNK x TILE_OUT x PARTS halves, in the order of the unit:
 *   wgmma [part][step][column / 8][place / 8][column % 8][place % 8]: blocks of 8 x 8 halves, 128 bytes, as its descriptors say
 *   mma   [step pair or step][column / 8][lane][..]: the 16 bytes that a lane needs of both parts (or of two steps) lie together */
#define VEC ${vec}
#define LANES 4
#define UNIT (LANES * VEC)
#define CHUNK (2 * UNIT)
#define STEPS (CHUNK / 16)
#define CHUNKS ((GROUP_IN + CHUNK - 1) / CHUNK)
#define PARTS ${parts}
#define LOW_SCALE 1.0f  /* of low parts, and what high parts are at least: these units know all halves */
#define LEAST_HIGH 0.0f
#define TILE_OUT ${tile_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define STAGE (CHUNK * TILE_OUT * PARTS) /* halves */

/* Of a channel in its chunk: the step that takes it, and its place there. */
#define MATRIX_STEP(c) ((c) / UNIT * (VEC / 4) + (c) % VEC / 4)
#define MATRIX_LANE(c) ((c) % UNIT / VEC)
#define MATRIX_PLACE(c) (2 * MATRIX_LANE(c) + (c) % 2 + (c) % 4 / 2 * 8)
/* The channels of a chunk in an order in which neighbours lie together. */
#define MATRIX_CHANNEL(i) ((i) / UNIT * UNIT + (i) % 8 / 2 * VEC + (i) % UNIT / 16 * 4 + (i) % 16 / 8 * 2 + (i) % 2)
% if unit == "wgmma":
#define MATRIX_WEIGHT(part, column, c) \
    ((((part) * STEPS + MATRIX_STEP(c)) * TILE_OUT + (column) / 8 * 8) * 16 + MATRIX_PLACE(c) / 8 * 64 + (column) % 8 * 8 + MATRIX_PLACE(c) % 8)
% elif parts == 2:
#define MATRIX_WEIGHT(part, column, c) \
    (((MATRIX_STEP(c) * (TILE_OUT / 8) + (column) / 8) * 32 + (column) % 8 * 4 + MATRIX_LANE(c)) * 8 + (part) * 4 + (c) % 4)
% else:
#define MATRIX_WEIGHT(part, column, c) \
    (((MATRIX_STEP(c) / 2 * (TILE_OUT / 8) + (column) / 8) * 32 + (column) % 8 * 4 + MATRIX_LANE(c)) * 8 + MATRIX_STEP(c) % 2 * 4 + (c) % 4)
% endif
