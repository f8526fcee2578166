// Rows as int8 with one scale a row: the largest magnitude becomes 127, halves go to the even neighbour. The same integers and
// scales as on the CPU, so that both engines multiply the same numbers.

struct Params {
    rows: u32,
    // Where x begins and how far its rows are apart, in quads. They are filled up with zeros.
    x: u32,
    x_stride: u32,
    // Where the words of four inputs begin and how far rows are apart, filled up with zeros: in quads of words.
    out: u32,
    out_stride: u32,
    // Where the scales begin, one in a quad: who writes a part of a quad may write the rest.
    scales: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;
// Rows below this magnitude become zeros: their scale would not be a normal number.
const SMALLEST = 1e-30;

var<workgroup> largest: array<vec4<f32>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.y * ROWS_ACROSS + group.x;
    if row >= params.rows {
        return;
    }
    let x = params.x + row * params.x_stride;
    var here = vec4<f32>();
    for (var quad = thread; quad < params.x_stride; quad += THREADS) {
        here = max(here, abs(bitcast<vec4<f32>>(arena[x + quad])));
    }
    largest[thread] = here;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) {
        here = max(here, largest[i]);
    }
    let best = max(max(here.x, here.y), max(here.z, here.w));
    var inverse = 0.0;
    var scale = 0.0;
    if best >= SMALLEST {
        inverse = quotient(127.0, best);
        scale = quotient(best, 127.0);
    }
    for (var i = thread; i < params.out_stride; i += THREADS) {
        var words = vec4<u32>();
        // Rows are whole steps of sixteen, so that either all four words lie in x or none.
        if 4u * i < params.x_stride {
            let first = x + 4u * i;
            words.x = word(arena[first], inverse);
            words.y = word(arena[first + 1u], inverse);
            words.z = word(arena[first + 2u], inverse);
            words.w = word(arena[first + 3u], inverse);
        }
        arena[params.out + row * params.out_stride + i] = words;
    }
    if thread == 0u {
        arena[params.scales + row] = vec4(bitcast<u32>(scale), 0u, 0u, 0u);
    }
}

fn word(x: vec4<u32>, inverse: f32) -> u32 {
    let n = bitcast<vec4<u32>>(vec4<i32>(round(bitcast<vec4<f32>>(x) * inverse))) & vec4(0xffu);
    return n.x | (n.y << 8u) | (n.z << 16u) | (n.w << 24u);
}

