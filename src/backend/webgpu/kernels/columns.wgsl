// Some neighbouring columns of x, filled up with zeros.

struct Params {
    rows: u32,
    // Of the result.
    columns: u32,
    // Where x and its first such column begin, and how far its rows are apart.
    x: u32,
    x_stride: u32,
    out: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    for (var column = thread; column < params.out_stride; column += THREADS) {
        var number = 0.0;
        if column < params.columns {
            number = arena[params.x + row * params.x_stride + column];
        }
        arena[params.out + row * params.out_stride + column] = number;
    }
}
