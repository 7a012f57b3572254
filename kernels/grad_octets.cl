/* Where halves of the gradient of the output lie for backward_weight_matrix: rows of BLOCK pixels in octets, 16 bytes, which change places
 * from row to row so that eight rows' octets of the same pixels lie in different banks, in the way that wgmma's descriptors know. */
#define PARTS ${parts}
#define BLOCK ${block}
#define OUTS ${outs} /* of a group, rounded up */
#define OCTET_AT(out, octet) (${"(octet) ^ ((out) / 2 % 4)" if block == 32 else "(octet) ^ ((out) % 8)"})
