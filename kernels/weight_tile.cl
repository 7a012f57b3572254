/* How backward_weight_matrix, backward_weight_wgmma and backward_weight_sampled cut grad_weight into tiles, and who has which of their sums.
 *
 * A unit is UNIT neighbouring channels of a group at one tap: 8 lanes of VEC. A tile is TILE_OUT outputs times UNITS units of a group, in the
 * order (chunk of channels, tap), so that the taps of a tile read the same pixels' same channels, which stay in the cache. With mma, warp w
 * sums WARP_OUT outputs of WARP_COLUMNS columns in fragments of 16 x 8. Its lane has TOTAL_QUADS quads, of fragment (q % ROW_FRAGMENTS,
 * q / ROW_FRAGMENTS): rows l / 4 and l / 4 + 8, of each columns 2 * (l % 4) and the next. With wgmma, a team of four warps sums 64 outputs of
 * TEAM_COLUMNS columns, each warp 16 of them, and column 8 * j + i of a unit is its channel VEC * i + j, as the samples' lanes store them.
% if sampled:
 * Where a forward left the samples, they are the first factor: ROW_FRAGMENTS times 16 columns a warp, all outputs by wgmma, half by mma; a
 * lane's quads are of fragment q / (WARP_OUT / 8) and octet of outputs q % (WARP_OUT / 8): columns l / 4 and l / 4 + 8, of each two outputs.
% endif
 *
 * The work is a line of TILES * blocks pieces, block after block of one tile after another. Worker w of W has pieces [w * all / W,
 * (w + 1) * all / W), and what it sums of tile t is segment w + t: no two of these are the same. */
#define ITEMS ${items} /* that multiply */
#define WARPS (ITEMS / 32)
#define UNIT ${8 * vec}
#define UNITS ${units}
#define COLUMNS (UNITS * UNIT)
#define TILE_OUT ${tile_out}
% if sampled:
#define ROW_FRAGMENTS ${units * vec * 8 // 16 // (items // 32 if unit == "wgmma" else items // 64)}
#define WARP_OUT ${tile_out if unit == "wgmma" else tile_out // 2}
#define TOTAL_QUADS (ROW_FRAGMENTS * WARP_OUT / 8)
% elif unit == "wgmma":
#define ROW_FRAGMENTS 1
#define TEAM_COLUMNS 128
#define TOTAL_QUADS (TEAM_COLUMNS / 8)
% else:
#define WARP_OUT 32
#define WARPS_OUT (TILE_OUT / WARP_OUT)
#define WARP_COLUMNS (COLUMNS / (WARPS / WARPS_OUT))
#define ROW_FRAGMENTS (WARP_OUT / 16)
#define COLUMN_FRAGMENTS (WARP_COLUMNS / 8)
#define TOTAL_QUADS (ROW_FRAGMENTS * COLUMN_FRAGMENTS)
% endif
#define BLOCK ${block}
#define CHUNKS ((GROUP_IN + UNIT - 1) / UNIT)
#define OUT_TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define COLUMN_TILES ((CHUNKS * TAPS + UNITS - 1) / UNITS)
#define TILES (GROUPS * OUT_TILES * COLUMN_TILES)

/* Where in its tile sum i of a work-item is: its output, and its column. */
% if sampled:
static inline int warp_fragment(int t) { return t / 32 % (COLUMNS / 16 / ROW_FRAGMENTS) * ROW_FRAGMENTS; }
static inline int warp_out(int t) { return t / 32 / (COLUMNS / 16 / ROW_FRAGMENTS) * WARP_OUT; }
static inline int out_of(int t, int i) { return warp_out(t) + i / 4 % (WARP_OUT / 8) * 8 + t % 4 * 2 + i % 2; }
static inline int column_of(int t, int i)
{
    const int fragment = warp_fragment(t) + i / 4 / (WARP_OUT / 8);
    return fragment / (UNIT / 16) * UNIT + t % 32 / 4 * ${vec} + fragment % (UNIT / 16) * 2 + i % 4 / 2;
}
% else:
#define ROW_OF(i) ((i) / 4 % ROW_FRAGMENTS * 2 + (i) % 4 / 2)
% if unit == "wgmma":
static inline int first_out(int t) { return t / 128 % (TILE_OUT / 64) * 64 + t % 128 / 32 * 16 + t % 32 / 4; }
static inline int column_of(int t, int i)
{
    const int octet = t / 128 / (TILE_OUT / 64) * (TEAM_COLUMNS / 8) + i / 4;
    return octet / ${vec} * UNIT + (t % 4 * 2 + i % 2) * ${vec} + octet % ${vec};
}
% else:
static inline int warp_out(int t) { return t / 32 % WARPS_OUT * WARP_OUT; }
static inline int warp_column(int t) { return t / 32 / WARPS_OUT * WARP_COLUMNS; }
static inline int first_out(int t) { return warp_out(t) + t % 32 / 4; }
static inline int column_of(int t, int i) { return warp_column(t) + i / 4 / ROW_FRAGMENTS * 8 + t % 4 * 2 + i % 2; }
% endif
static inline int out_of(int t, int i) { return first_out(t) + 8 * ROW_OF(i); }
% endif

/* Where 16 outputs, block `rows` of the tile, of a unit are: UNIT / 8 parts make them up, each of one quad of all lanes of a warp. Which warp, and
 * which of its quads. A part is all 16 outputs of 8 columns; where samples were left, 8 outputs of 16 columns. */
static inline int2 quads_at(int unit, int part, int rows)
{
% if sampled:
    const int fragment = unit * (UNIT / 16) + part / 2, octet = rows * 2 + part % 2;
    const int warp = octet / (WARP_OUT / 8) * (COLUMNS / 16 / ROW_FRAGMENTS) + fragment / ROW_FRAGMENTS;
    return (int2)(warp, fragment % ROW_FRAGMENTS * (WARP_OUT / 8) + octet % (WARP_OUT / 8));
% elif unit == "wgmma":
    const int octet = unit * (UNIT / 8) + part, team = octet / (TEAM_COLUMNS / 8) * (TILE_OUT / 64) + rows / 4;
    return (int2)(team * 4 + rows % 4, octet % (TEAM_COLUMNS / 8));
% else:
    const int octet = unit * (UNIT / 8) + part, warp = octet / COLUMN_FRAGMENTS * WARPS_OUT + rows / ROW_FRAGMENTS;
    return (int2)(warp, octet % COLUMN_FRAGMENTS * ROW_FRAGMENTS + rows % ROW_FRAGMENTS);
% endif
}

/* The first piece of a worker. */
static inline long first_piece(int worker, int workers, long all) { return worker * all / workers; }

/* Who has a piece, where there are no fewer pieces than workers. */
static inline int worker_of(long piece, int workers, long all)
{
    const int worker = (int)(piece * workers / all); /* or the next, since first pieces are rounded down */
    return worker + (first_piece(worker + 1, workers, all) <= piece);
}
