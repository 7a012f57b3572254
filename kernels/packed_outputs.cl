/* What make_packed packs for the forward pass: columns are outputs; chunks outside, taps inside. */
#define PACKED_COLUMNS GROUP_OUT
#define PACKED_DEPTH GROUP_IN
#define PACKED_FROM(group, column, k) ((index_t)((group) * GROUP_OUT + (column)) * (GROUP_IN * TAPS) + (k))
#define PACKED_STAGE(chunk, tap) ((chunk) * TAPS + (tap))
