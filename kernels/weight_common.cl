## What backward_weight_matrix, backward_weight_wgmma and backward_weight_sampled have in common.
## Needs weight_tile, grad_octets, matrix_nvidia, scale.
#define MY_ITEM ((int)get_local_id(0) % ITEMS) /* among those of the same job */
#define PLANS ${plans}
#define SAMPLES (PARTS * BLOCK * COLUMNS / 8)
#define GRADS (PARTS * TILE_OUT * BLOCK / 8)
#define LEAST 0x1p-96f /* of a block's largest sample, or zero */
#define MOST 0x1p100f
#define LARGEST_SAMPLE 0x1p30f
#define LARGEST_FACTOR 0x1p15f

/* The bits of the largest among a warp's lanes. */
static inline uint largest_of_warp(uint bits)
{
    uint most;
    asm volatile("redux.sync.max.u32 %0, %1, -1;" : "=r"(most) : "r"(bits));
    return most;
}

/* A load that is begun here, and what it isn't moved across: left alone, NVIDIA's assembler fetches late. */
static inline uint4 load_now(__global const void *from)
{
    uint4 all;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(all.s0), "=r"(all.s1), "=r"(all.s2), "=r"(all.s3) : "l"(from) : "memory");
    return all;
}
static inline void keep_order(void) { asm volatile("bar.warp.sync -1;" ::: "memory"); }

/* Four matrices of 8 x 8 halves, of rows of 16 bytes whose addresses come from 8 lanes each. */
static inline void load_matrices(uint *to, __local const uint4 *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(row) : "memory");
}

/* Barriers of all work-items, and of those of one job. */
static inline void common_barrier(void) { asm volatile("bar.sync 0;" ::: "memory"); }
static inline void own_barrier(int job) { asm volatile("bar.sync %0, %1;" :: "r"(job), "n"(ITEMS) : "memory"); }

/* By what a block's samples are scaled. */
static inline float block_scale(uint most) { return scale_for(fmax(as_float(most), LEAST)); }

<%include file="begin.cl"/>
