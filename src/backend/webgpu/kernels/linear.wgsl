// act(x · weightᵀ + bias): [R, K] to [R, N], a tile of the result for each workgroup.
//
// What stands before this file says what a number is (f32, f16 or int8: numbers_*.wgsl) and how large a tile is. A line with
// {i}, {j}, {a} or {b} stands for one line for each row of a thread, each of its column quads, and each part of the two tiles
// that a thread fetches: sums are named variables, because an array that a compiler does not unroll lies in slow memory.
//
// Rows of x and of the weight are filled up with zeros, so that no product needs a guard. What lies beyond the last row or column
// is made of the last one, and not written: every index is inside its array.

const THREADS_X = TILE_COLUMNS / (4u * THREAD_QUADS);
const THREADS_Y = TILE_ROWS / THREAD_ROWS;
const THREADS = THREADS_X * THREADS_Y;
const COLUMN_QUADS = TILE_COLUMNS / 4u;
const DEPTH_QUADS = DEPTH / 4u;

// [TILE_ROWS][DEPTH] and [DEPTH][TILE_COLUMNS].
var<workgroup> x_tile: array<Quad, TILE_ROWS * DEPTH_QUADS>;
var<workgroup> weight_tile: array<Quad, DEPTH * COLUMN_QUADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let thread_x = thread % THREADS_X;
    let thread_y = thread / THREADS_X;
    let first_row = group.y * TILE_ROWS;
    let first_quad = group.x * COLUMN_QUADS;

    let x_{a} = params.x + min(first_row + (thread + {a}u * THREADS) / DEPTH_QUADS, params.rows - 1u) * params.x_stride + (thread + {a}u * THREADS) % DEPTH_QUADS;
    let weight_{b} = (thread + {b}u * THREADS) / COLUMN_QUADS * params.weight_stride + min(first_quad + (thread + {b}u * THREADS) % COLUMN_QUADS, params.weight_stride - 1u);
    var next_x_{a} = load_x(x_{a});
    var next_weight_{b} = load_weight(weight_{b});

    var sum_{i}_{j} = Sum();
    for (var begin = DEPTH; begin <= params.depth; begin += DEPTH) {
        workgroupBarrier();
        x_tile[thread + {a}u * THREADS] = next_x_{a};
        weight_tile[thread + {b}u * THREADS] = next_weight_{b};
        workgroupBarrier();
        if begin < params.depth {
            next_x_{a} = load_x(x_{a} + begin / 4u);
            next_weight_{b} = load_weight(weight_{b} + begin * params.weight_stride);
        }
        for (var k = 0u; k < DEPTH_QUADS; k++) {
            let w0_{j} = weight_tile[(4u * k + 0u) * COLUMN_QUADS + thread_x + {j}u * THREADS_X];
            let w1_{j} = weight_tile[(4u * k + 1u) * COLUMN_QUADS + thread_x + {j}u * THREADS_X];
            let w2_{j} = weight_tile[(4u * k + 2u) * COLUMN_QUADS + thread_x + {j}u * THREADS_X];
            let w3_{j} = weight_tile[(4u * k + 3u) * COLUMN_QUADS + thread_x + {j}u * THREADS_X];
            let row_{i} = x_tile[(thread_y + {i}u * THREADS_Y) * DEPTH_QUADS + k];
            sum_{i}_{j} = multiply_add(sum_{i}_{j}, row_{i}, w0_{j}, w1_{j}, w2_{j}, w3_{j});
        }
    }
    store(first_row + thread_y + {i}u * THREADS_Y, first_quad + thread_x + {j}u * THREADS_X, sum_{i}_{j});
}
