/* The numbers of the weight: all that kernels know which read nothing else. */
#define IN_CHANNELS ${in_channels}
#define OUT_CHANNELS ${out_channels}
#define GROUPS ${groups}
#define GROUP_IN (IN_CHANNELS / GROUPS)
#define GROUP_OUT (OUT_CHANNELS / GROUPS)
#define KERNEL_Y ${kernel_y}
#define KERNEL_X ${kernel_x}
#define TAPS (KERNEL_Y * KERNEL_X)
