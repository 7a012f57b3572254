/* ring_and_weight: what ${" and ".join(what for what, there in (("ring_last", ring), ("pack_weight_matrix", fore), ("pack_weight_back", back)) if there)} do, in one launch: none waits for another, and small
 * layers wait for launches.
 *
 * Buffers as there${", and zeroed [quads] of 16 bytes, which are set to zero" if zeros else ""}. Each job has work-groups of its own, in this order. */
<%
names = ("VEC", "LANES", "UNIT", "CHUNK", "STEPS", "CHUNKS", "PARTS", "LOW_SCALE", "LEAST_HIGH", "TILE_OUT", "TILES", "STAGE", "MATRIX_STEP",
    "MATRIX_LANE", "MATRIX_PLACE", "MATRIX_CHANNEL", "MATRIX_WEIGHT", "PACKED_COLUMNS", "PACKED_DEPTH", "PACKED_FROM", "PACKED_STAGE", "DEPTH")
%>\
<%include file="types.cl"/>
% if fore or back:
<%include file="channels.cl"/>
% endif
#define ITEMS ${items}
#define DOUBT_BITS ${doubt_bits}
% if ring:
#define BLOCK ${block}
#define TILE_PIXELS ${tile_pixels}
<%include file="make_ring.cl"/>
% endif
% if fore or back:
<%include file="combined.cl"/>
% endif
% if fore:
<%include file="matrix.cl"/>
<%include file="packed_outputs.cl"/>
<%include file="make_packed.cl" args="name='pack_outputs'"/>
% endif
% if fore and back:
% for name in names:
#undef ${name}
% endfor
% endif
% if back:
<%include file="matrix_back.cl" args="unit=back_unit"/>
<%include file="make_packed.cl" args="name='pack_channels'"/>
% endif
% if zeros:
#define FILLED (ITEMS * ${quads}) /* quads that a work-group sets to zero */

static inline void fill(int work_group, __global uint4 *zeroed, long quads)
{
    const long first = (long)work_group * FILLED + (long)get_local_id(0);
    for (long i = first; i < min(first + FILLED, quads); i += ITEMS) zeroed[i] = (uint4)(0);
}
% endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void ring_and_weight(
% if ring:
    __global const data_t *restrict input, __global data_t *restrict ring, ${"__global uint *restrict largest," if sizes else ""}
% endif
% if fore or back:
    __global const data_t *restrict weight,
% endif
% if fore:
    __global half *restrict packed, __global float *restrict unscale,
% endif
% if back:
    __global half *restrict packed_back, __global float *restrict unscale_back,
% endif
% for n in range(zeros):
    __global uint4 *restrict zeroed${n},
% endfor
% for n in range(zeros):
    long quads${n},
% endfor
% if ring:
    int batch, int height, int width, int ring_groups${"," if fore or back else ")"}
% endif
% if fore or back:
    int ${"fore_groups, int back_groups" if fore and back else "fore_groups" if fore else "back_groups"})
% endif
{
% if ring:
    __local word_t tile[WORDS * ROW];
% if sizes:
    __local float most_of[ROWS * TILE_PIXELS];
    __local int doubted[TILE_PIXELS];
% endif
% endif
% if fore or back:
    __local float4 all[ITEMS];
% endif
    int work_group = (int)get_group_id(0);
% if ring:
    if (work_group < ring_groups) {
        make_ring(work_group, tile, ${"most_of, doubted, " if sizes else ""}input, ring, ${"largest, " if sizes else ""}batch, height, width);
        return;
    }
    work_group -= ring_groups;
% endif
% if fore:
    if (work_group < fore_groups) {
        pack_outputs(work_group, all, weight, packed, unscale);
        return;
    }
    work_group -= fore_groups;
% endif
% if back:
    if (work_group < back_groups) {
        pack_channels(work_group, all, weight, packed_back, unscale_back);
        return;
    }
    work_group -= back_groups;
% endif
% for n in range(zeros):
    const int groups${n} = (int)((quads${n} + FILLED - 1) / FILLED);
    if (work_group < groups${n}) {
        fill(work_group, zeroed${n}, quads${n});
        return;
    }
    work_group -= groups${n};
% endfor
}
