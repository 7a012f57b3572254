/* NVIDIA's matrix units, in PTX: sums += samples x weights, 16 pixels a warp, float32 sums of halves. (wgmma: see matrix_hopper.)
 *
 *     samples a: for each part and step 4 registers a lane, two halves each (pixel l / 4, then + 8; first the places 2q, 2q + 1, then + 8)
 *     sums: column 8 * j + 2 * (l % 4) + i of pixel l / 4 + 8 * r at 4 * j + 2 * r + i */
/* A barrier of the 128 work-items of a team; barrier 0 is the work-group's. */
static inline void team_barrier(void)
{
    asm volatile("bar.sync %0, 128;" :: "r"((int)get_local_id(0) / 128 + 1) : "memory");
}

/* A barrier, by its number, of `items` work-items. */
static inline void barrier_of(int number, int items)
{
    asm volatile("bar.sync %0, %1;" :: "r"(number), "r"(items) : "memory");
}

/* This work-item's number, asked for anew: what is made of it needs no registers since it was last asked for. */
static inline int item_anew(void)
{
    uint item;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(item));
    return (int)item;
}

/* What the lane of the same 8 that has the other unit of channels gives. */
static inline uint of_other_unit(uint given)
{
    uint got;
    asm volatile("shfl.sync.bfly.b32 %0, %1, 4, 31, -1;" : "=r"(got) : "r"(given));
    return got;
}

static inline uint two_halves(float first, float second)
{
    uint both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
}

static inline float2 of_two_halves(uint both)
{
    float2 wide;
    asm("{\n.reg .b16 first, second;\nmov.b32 {first, second}, %2;\ncvt.f32.f16 %0, first;\ncvt.f32.f16 %1, second;\n}"
        : "=f"(wide.x), "=f"(wide.y) : "r"(both));
    return wide;
}
% if dtype == "float16":
#define widen of_two_halves
% elif dtype == "bfloat16":
static inline float2 widen(uint both) { return (float2)(as_float(both << 16), as_float(both & 0xffff0000u)); }
% endif

/* 16 bytes from global to local memory, without waiting. */
static inline void copy_ahead(__local uint4 *to, __global const uint4 *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "l"(to), "l"(from) : "memory");
}

/* Wait for this item's copies; after the next barrier all items, and the matrix unit, see them. */
static inline void publish_copies(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
% if unit == "wgmma":
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
% endif
}
% if unit == "mma":

/* sums += one step's product, for 8 columns. */
static inline void multiply(float *sum, const uint *a, uint weight_0, uint weight_1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(weight_0), "r"(weight_1));
}
% endif
