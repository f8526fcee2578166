// The norm of y = x + residual, row by row: (y - mean) / sqrt(variance + eps) · weight + bias, or only y · weight + bias. A
// workgroup a row. Rows, weights and biases are filled up with zeros.

struct Params {
    rows: u32,
    columns: u32,
    // Quads of a row.
    stride: u32,
    // Where each begins, in quads.
    x: u32,
    residual: u32,
    out: u32,
    has_residual: u32,
    is_layer_norm: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;
@group(1) @binding(0) var<storage, read> weight: array<vec4<f32>>;
@group(2) @binding(0) var<storage, read> bias: array<vec4<f32>>;

const THREADS = 64u;

var<workgroup> parts: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    var mean = 0.0;
    var scale = 1.0;
    if params.is_layer_norm != 0u {
        var sum = 0.0;
        for (var quad = thread; quad < params.stride; quad += THREADS) {
            sum += dot(sum_of(row, quad), vec4(1.0));
        }
        mean = total(thread, sum) / f32(params.columns);
        var squares = 0.0;
        for (var quad = thread; quad < params.stride; quad += THREADS) {
            // What a row is filled up with has no part in its variance.
            let inside = vec4(4u * quad) + vec4(0u, 1u, 2u, 3u) < vec4(params.columns);
            let distance = select(vec4<f32>(), sum_of(row, quad) - mean, inside);
            squares += dot(distance, distance);
        }
        scale = 1.0 / sqrt(total(thread, squares) / f32(params.columns) + params.eps);
    }
    for (var quad = thread; quad < params.stride; quad += THREADS) {
        arena[params.out + row * params.stride + quad] = (sum_of(row, quad) - mean) * scale * weight[quad] + bias[quad];
    }
}

fn sum_of(row: u32, quad: u32) -> vec4<f32> {
    let at = row * params.stride + quad;
    var y = arena[params.x + at];
    if params.has_residual != 0u {
        y += arena[params.residual + at];
    }
    return y;
}

// The sum over the threads, the same for each.
fn total(thread: u32, part: f32) -> f32 {
    workgroupBarrier();
    parts[thread] = part;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < THREADS; i++) {
        sum += parts[i];
    }
    return sum;
}
