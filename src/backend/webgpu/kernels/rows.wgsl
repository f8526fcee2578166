// Some rows of x, in the order of their numbers.

struct Params {
    // Of the result.
    rows: u32,
    // Quads of a row.
    stride: u32,
    // Where each begins, in quads.
    x: u32,
    out: u32,
    // The place of the first row number.
    list: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    let x = params.x + numbers[params.list + row] * params.stride;
    for (var quad = thread; quad < params.stride; quad += THREADS) {
        arena[params.out + row * params.stride + quad] = arena[x + quad];
    }
}
