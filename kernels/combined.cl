/* Of all work-items: the largest x, the sums of y and z. */
static inline float4 combined(__local float4 *all, float4 mine)
{
    const int t = (int)get_local_id(0);
    all[t] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        if (t < half_of) all[t] = (float4)(fmax(all[t].x, all[t + half_of].x), all[t].yzw + all[t + half_of].yzw);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float4 result = all[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}
