/* What a lane loads for one instruction: its fragment of a block of weights, and of the octets of BLOCK_PIXELS pixels at one step (see
 * fragments). All its lanes together, a wave loads what lies together. */
% if unit == "mfma":
typedef uint4 weight_fragment_t;
typedef uint4 sample_fragment_t;
static inline weight_fragment_t load_weights(__global const uint4 *block, int lane) { return block[lane]; }
static inline sample_fragment_t load_samples(__local const uint4 *octets, int lane)
{
    const int octet = lane / 32;
    return octets[octet * ROW + lane % 32];
}
% else:
typedef uint8 sample_fragment_t;
static inline sample_fragment_t load_samples(__local const uint4 *octets, int lane)
{
    return (uint8)(octets[lane % BLOCK_PIXELS], octets[ROW + lane % BLOCK_PIXELS]);
}
% endif
% if unit == "wmma":
typedef uint8 weight_fragment_t;
static inline weight_fragment_t load_weights(__global const uint4 *block, int lane) { return (uint8)(block[lane % 16], block[16 + lane % 16]); }
% elif unit.startswith("dpas"):
<% element = "uint" if unit == "dpas8" else "ushort" %>\
typedef ${element}8 weight_fragment_t;
static inline weight_fragment_t load_weights(__global const uint4 *block, int lane)
{
    __global const ${element} *at = (__global const ${element} *)block;
% if emulated:
    return (${element}8)(${", ".join("at[%d * LANES + lane]" % n for n in range(8))});
% else:
    (void)lane; /* the builtin knows it */
    return intel_sub_group_block_read${"" if unit == "dpas8" else "_us"}8(at);
% endif
}
% endif
