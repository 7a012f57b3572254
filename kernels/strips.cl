/* The order in which tiles take the pixels of an image: down strips of STRIP columns, the last one as narrow as what is left, so that a
 * run of pixels is compact, wastes nothing at borders, and lies in rows of STRIP. (y, x) of pixel i < out_height * out_width. */
#define STRIP 16

static inline int2 strip_pixel(int i, int out_height, int out_width)
{
    const int whole = out_width / STRIP * STRIP;
    const int strip = min(i / (STRIP * out_height), whole / STRIP);
    const int columns = strip * STRIP < whole ? STRIP : out_width - whole;
    const int within = i - strip * STRIP * out_height;
    return (int2)(within / columns, strip * STRIP + within % columns);
}
