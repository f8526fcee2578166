// As linear.wgsl, for a few rows: a workgroup makes 64 columns of one row, and its threads share out the inputs, so that
// even one row keeps many threads busy. Numbers as there.

const QUADS = 16u;
const SLICES = 16u;

var<workgroup> sums: array<Sum, QUADS * SLICES>;

@compute @workgroup_size(QUADS * SLICES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y;
    let quad = group.x * QUADS + thread % QUADS;
    let x = params.x + row * params.x_stride;
    var sum = Sum();
    // Beyond the last column the last one is read, and not written.
    let column = min(quad, params.weight_stride - 1u);
    for (var k = thread / QUADS; k < params.depth / 4u; k += SLICES) {
        let w = 4u * k * params.weight_stride + column;
        sum = multiply_add(sum, load_x(x + k), load_weight(w), load_weight(w + params.weight_stride),
            load_weight(w + 2u * params.weight_stride), load_weight(w + 3u * params.weight_stride));
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread >= QUADS {
        return;
    }
    for (var slice = 1u; slice < SLICES; slice++) {
        sum += sums[slice * QUADS + thread];
    }
    store(row, quad, sum);
}
