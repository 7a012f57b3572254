/* The input as GPUs read it: channels innermost, and zeros around each image, so that a sample's four corners are one index and three
 * constant steps, whether they lie inside or not.
 *
 *     ring [width + 3 + N * (H + 1) * (W + 1)][C]: one pixel of zeros behind each row, one row of zeros behind each image, and before all
 *     of it a row and two pixels. The pixel before a row is the one behind the row above. Pixel 0, its neighbour and those below them are
 *     zeros: there lies what is far outside. */
#define RING_OUTSIDE 0

static inline int ring_pixel(int n, int row, int column, int height, int width)
{
    return width + 3 + (n * (height + 1) + row) * (width + 1) + column;
}
