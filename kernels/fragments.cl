/* How the matrix units of AMD and Intel share out a product of halves, outputs x channels times channels x pixels: where the factors lie in
 * memory, and which lane of a wave (sub-group) has which of the sums. A step is 16 channels, an octet 8 channels of an output or a pixel: 16
 * bytes. Wave l is LANES lanes; a block, BLOCK_OUT outputs of BLOCK_PIXELS pixels, is what it has from one instruction.
 *
 *     samples [part][octet][ROW]: octets of the pixels of a tile, in local memory; ROW spreads what is written together over the banks
 *     a stage of weights, of one chunk of channels at one tap: [step][TILE_OUT / BLOCK_OUT][part][block], in global memory. A block:
% if unit in ("mfma", "wmma"):
 *         [octet of 2][BLOCK_OUT] octets
% else:
 *         [BLOCK_OUT][16] halves
% endif
 *     sum i of lane l: pixel l % BLOCK_PIXELS, output SUM_OUT(i, l)
 *
 * Layouts of the fragments are from the vendors' documents:
% if unit == "mfma":
 * v_mfma_f32_32x32x8f16 of wave64 (AMD's "Matrix Instruction Calculator", gfx90a): lane l has A[l % 32][4 * (l / 32) + j], j < 4, and
 * B[4 * (l / 32) + j][l % 32]; register i of its 16 sums is D[8 * (i / 4) + 4 * (l / 32) + i % 4][l % 32]. A step is two instructions,
 * and since the order of channels is free as long as both factors agree, lane l has octet l / 32 of both, four channels for each.
% elif unit == "wmma":
 * v_wmma_f32_16x16x16_f16 of wave32 (the same for gfx1100, and AMD's guide to the RDNA 3 instruction set): lane l has row l % 16 of A and
 * column l % 16 of B, all 16 channels, both halves of the wave the same; register i of its 8 sums is D[2 * i + l / 16][l % 16].
% else:
 * intel_sub_group_f16_f16_matrix_mad_k16 (cl_intel_subgroup_matrix_multiply_accumulate, and DPAS in IGC's documentation): component m of A is
 * row m, which lies along the sub-group, two channels a lane in a sub-group of 8, one in one of 16: what a block read of [8][16] halves
 * gives; component j of B is channels 2 * j and 2 * j + 1 of column l, component i of the sums D[i][l].
% endif
 *
 * The low parts of factors are LOW_SCALE times too large, and high parts below the least normal half are left to them: some of these units
 * take what is smaller for zero ("MI200 MFMA behavior specifics", MIOpen). What they add to the product is summed by itself. */
#define LANES ${lanes}
#define BLOCK_OUT ${block_out}
#define BLOCK_PIXELS ${block_pixels}
#define sum_t float${block_out * block_pixels // lanes}
#define CHUNK ${chunk}
#define STEPS (CHUNK / 16)
#define OCTETS (CHUNK / 8)
#define CHUNKS ((GROUP_IN + CHUNK - 1) / CHUNK)
#define PARTS ${parts}
#define LOW_SCALE 2048.0f
#define LEAST_HIGH 0x1p-14f
#define TILE_OUT ${tile_out}
#define TILES ((GROUP_OUT + TILE_OUT - 1) / TILE_OUT)
#define STAGE (CHUNK * TILE_OUT * PARTS) /* halves */

/* Of weight (column, channel c of its chunk), and an order of channels in which neighbours lie together. */
#define MATRIX_CHANNEL(i) (i)
#define MATRIX_WEIGHT(part, column, c) \
    ((((c) / 16 * (TILE_OUT / BLOCK_OUT) + (column) / BLOCK_OUT) * PARTS + (part)) * BLOCK_OUT * 16 + WEIGHT_IN_BLOCK((column) % BLOCK_OUT, (c) % 16))
% if unit in ("mfma", "wmma"):
#define WEIGHT_IN_BLOCK(row, c) (((c) / 8 * BLOCK_OUT + (row)) * 8 + (c) % 8)
% else:
#define WEIGHT_IN_BLOCK(row, c) ((row) * 16 + (c))
% endif
% if unit == "mfma":
#define SUM_OUT(i, lane) (8 * ((i) / 4) + 4 * ((lane) / 32) + (i) % 4)
% elif unit == "wmma":
#define SUM_OUT(i, lane) (2 * (i) + (lane) / 16)
% else:
#define SUM_OUT(i, lane) ((void)(lane), (i))
% endif
