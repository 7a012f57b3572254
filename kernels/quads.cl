## Products of tiles that meet in local memory, rows of quads (vectors of 4): each work-item has blocks of 4 x 4 of the result, ITEMS_X
## apart along x and ITEMS_Y along y.
##
##     sum[4 * j + o][i] += x[k][quad t % ITEMS_X + i * ITEMS_X] * y[k][quad t / ITEMS_X + j * ITEMS_Y].s<o>      k < depth
<%def name="multiply(depth, item_x, item_y, x, x_row, y, y_row)">\
            #pragma unroll 4
            for (int k = 0; k < ${depth}; ++k) {
                quad_t along[${item_x} / 4], across[${item_y} / 4];
                #pragma unroll
                for (int i = 0; i < ${item_x} / 4; ++i) along[i] = ${x}[k * ${x_row} + t % ITEMS_X + i * ITEMS_X];
                #pragma unroll
                for (int j = 0; j < ${item_y} / 4; ++j) across[j] = ${y}[k * ${y_row} + t / ITEMS_X + j * ITEMS_Y];
                #pragma unroll
                for (int i = 0; i < ${item_x} / 4; ++i) {
                    #pragma unroll
                    for (int j = 0; j < ${item_y} / 4; ++j) {
% for o in range(4):
                        sum[4 * j + ${o}][i] = fma(along[i], (quad_t)(across[j].s${o}), sum[4 * j + ${o}][i]);
% endfor
                    }
                }
            }
</%def>\
#define quad_t ${"double4" if accumulator == "float64" else "float4"}
