/* The numbers of a problem that are baked into a kernel. Batch and image size are run-time parameters. */
<%include file="channels.cl"/>
#define SAMPLE_GROUPS ${max(offset_groups, 1)}
#define SAMPLE_CHANNELS (IN_CHANNELS / SAMPLE_GROUPS)
#define STRIDE_Y ${stride_y}
#define STRIDE_X ${stride_x}
#define PAD_TOP ${pad_top}
#define PAD_BOTTOM ${pad_bottom}
#define PAD_LEFT ${pad_left}
#define PAD_RIGHT ${pad_right}
#define DILATION_Y ${dilation_y}
#define DILATION_X ${dilation_x}

/* Where tap k of output position (oy, ox) lies before its offset, in pixels of the unpadded image. */
static inline int tap_row(int oy, int tap) { return oy * STRIDE_Y - PAD_TOP + tap / KERNEL_X * DILATION_Y; }
static inline int tap_column(int ox, int tap) { return ox * STRIDE_X - PAD_LEFT + tap % KERNEL_X * DILATION_X; }
