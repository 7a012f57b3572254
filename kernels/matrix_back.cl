<%page args="unit"/>\
/* How matrix units share out the product that goes back, pixels x outputs times outputs x channels, in 16 x 8 pieces (mma.sync's m16n8k16):
 * which lane has what, and where the packed weight lies. A warp has eight pieces (m, j), 2 x 4: of 32 pixels times 32 channels, or, by wgmma,
 * of 16 pixels times twice 32 channels.
 *
 *     lane l, piece (m, j): pixels l / 4 (+ 8: sums 2 and 3), by mma + 16 * m; channels BACK_CHANNEL(j, 2 * (l % 4)) and the next, by wgmma
 *     + 32 * m
 *
 * So a lane has, of each of its pixels, two quads of consecutive channels: 4 * (l % 4) + 16 * h of the warp's, in pieces 2 * h and 2 * h + 1.
 *
 * A stage is the weight of CHUNK outputs at one tap, for TILE_OUT channels: [32 channels][step][j][lane] times the 16 bytes that a lane needs:
 * column l / 4 of piece j, outputs 2q, 2q + 1, 2q + 8, 2q + 9 of the step (q = l % 4), of both parts, or of two steps. By wgmma it is
 * [64 channels][step][part][piece of 8][octet of outputs][column], of octets. */
#define WARP_PIXELS ${16 if unit == "wgmma" else 32}
#define WARP_CHANNELS (1024 / WARP_PIXELS)
#define CHUNK ${chunk}
#define STEPS (CHUNK / 16)
#define CHUNKS ((GROUP_OUT + CHUNK - 1) / CHUNK)
#define PARTS ${parts}
#define LOW_SCALE 1.0f
#define LEAST_HIGH 0.0f
#define TILE_OUT ${tile_channels}
#define TILES ((GROUP_IN + TILE_OUT - 1) / TILE_OUT)
#define STAGE (CHUNK * TILE_OUT * PARTS) /* halves */

/* What make_packed packs: columns are channels, a column's numbers lie along the outputs; taps outside, chunks of outputs inside. */
#define PACKED_COLUMNS GROUP_IN
#define PACKED_DEPTH GROUP_OUT
#define PACKED_FROM(group, column, k) (((index_t)((group) * GROUP_OUT + (k) / TAPS) * GROUP_IN + (column)) * TAPS + (k) % TAPS)
#define PACKED_STAGE(chunk, tap) ((tap) * CHUNKS + (chunk))

/* Of channel c of a warp's 32: its piece, and its column there. */
#define BACK_PIECE(c) ((c) / 16 * 2 + (c) % 4 / 2)
#define BACK_COLUMN(c) ((c) % 16 / 4 * 2 + (c) % 2)
#define BACK_LANE(c, o) (BACK_COLUMN(c) * 4 + (o) % 8 / 2)
/* The numbers of a chunk in an order in which neighbours lie together. */
#define MATRIX_CHANNEL(i) (i)
% if unit == "wgmma":
#define MATRIX_WEIGHT(part, column, o) \
    (((((((column) / 64 * STEPS + (o) / 16) * PARTS + (part)) * 2 + (column) / 32 % 2) * 4 + BACK_PIECE((column) % 32)) * 2 + (o) % 16 / 8) * 64 \
     + BACK_COLUMN((column) % 32) * 8 + (o) % 8)
% else:
#define MATRIX_WEIGHT(part, column, o) \
    ((((((column) / 32 * STEPS + (o) / 16) / STEPS_AT_ONCE * 4 + BACK_PIECE((column) % 32)) * 32 + BACK_LANE((column) % 32, (o) % 16)) * 2 \
      + (PARTS == 2 ? (part) : (o) / 16 % 2)) * 4 + (o) % 16 / 8 * 2 + (o) % 2)
#define STEPS_AT_ONCE (3 - PARTS)
% endif
