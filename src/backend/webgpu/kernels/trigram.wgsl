// Each row between its neighbours in its own sequence, zeros beyond the ends: [next, own, previous].

struct Params {
    rows: u32,
    // Of x.
    columns: u32,
    // Where x begins and how far its rows are apart.
    x: u32,
    x_stride: u32,
    out: u32,
    out_stride: u32,
    // The place of the neighbours of the first row: 1 if there is a next one, 2 if there is a previous one, 3 if both.
    neighbours: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<f32>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    let neighbours = numbers[params.neighbours + row];
    for (var column = thread; column < params.out_stride; column += THREADS) {
        let part = column / params.columns;
        let own = params.x + row * params.x_stride + column % params.columns;
        var number = 0.0;
        if part == 0u && (neighbours & 1u) != 0u {
            number = arena[own + params.x_stride];
        } else if part == 1u {
            number = arena[own];
        } else if part == 2u && (neighbours & 2u) != 0u {
            number = arena[own - params.x_stride];
        }
        arena[params.out + row * params.out_stride + column] = number;
    }
}
