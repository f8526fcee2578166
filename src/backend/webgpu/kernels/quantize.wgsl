// Rows as int8 with one scale a row: the largest magnitude becomes 127, halves go to the even neighbour. The same integers and
// scales as on the CPU, so that both engines multiply the same numbers.

struct Params {
    rows: u32,
    columns: u32,
    // Where x begins and how far its rows are apart.
    x: u32,
    x_stride: u32,
    // Where the words of four inputs begin and how far rows are apart, filled up with zeros.
    out: u32,
    out_stride: u32,
    // Where the scales begin.
    scales: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;
// Rows below this magnitude become zeros: their scale would not be a normal number.
const SMALLEST = 1e-30;

var<workgroup> largest: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    let x = params.x + row * params.x_stride;
    var best = 0.0;
    for (var column = thread; column < params.columns; column += THREADS) {
        best = max(best, abs(bitcast<f32>(arena[x + column])));
    }
    largest[thread] = best;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) {
        best = max(best, largest[i]);
    }
    var inverse = 0.0;
    var scale = 0.0;
    if best >= SMALLEST {
        inverse = quotient(127.0, best);
        scale = quotient(best, 127.0);
    }
    for (var word = thread; word < params.out_stride; word += THREADS) {
        var bits = 0u;
        for (var i = 0u; i < 4u; i++) {
            let column = 4u * word + i;
            if column < params.columns {
                let n = i32(round(bitcast<f32>(arena[x + column]) * inverse));
                bits |= (bitcast<u32>(n) & 0xffu) << (8u * i);
            }
        }
        arena[params.out + row * params.out_stride + word] = bits;
    }
    if thread == 0u {
        arena[params.scales + row] = bitcast<u32>(scale);
    }
}
