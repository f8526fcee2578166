// x + y.

struct Params {
    // How many, and where each begins: all in quads.
    quads: u32,
    x: u32,
    y: u32,
    out: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 256u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let quad = (group.y * ROWS_ACROSS + group.x) * THREADS + thread;
    if quad < params.quads {
        arena[params.out + quad] = arena[params.x + quad] + arena[params.y + quad];
    }
}
