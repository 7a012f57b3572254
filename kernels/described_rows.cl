## For wgmma, rows of pixels in halves. Needs BLOCK, matrix_hopper.
/* Local memory as descriptors say it: address / 16, the steps / 16 between octets of pixels (where those don't change places) and between
 * eight rows, and in how many bytes octets change places. */
static inline ulong described_rows(__local const uint4 *from, ulong way)
{
    return (ulong)((local_address(from) >> 4) & 0x3fffu) | 8ul << 16 | (ulong)BLOCK << 32 | way << 62;
}
