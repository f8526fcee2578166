// What both kernels of attention share: what they are told, and how a row of a head is read and written. A workgroup has some query
// rows of one head, one a thread. `numbers` holds a tile for each: the first row of its sequence, the length of that, the first of its
// own rows, and for attention_exact.wgsl the number of the sequence.
//
// A line with {q} stands for one line for each of the QUADS quads of a head, filled up with zeros.

struct Params {
    // Of a head.
    width: u32,
    hidden: u32,
    // Where query, key and value begin, and how far their rows are apart.
    query: u32,
    key: u32,
    value: u32,
    query_stride: u32,
    value_stride: u32,
    out: u32,
    out_stride: u32,
    // The place of the first tile.
    tiles: u32,
    // log2(e) / √d, because powers are of two; in integers where head_scales.wgsl has written it, and for how many heads.
    scale: f32,
    scales: u32,
    heads: u32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<f32>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;

// Four numbers of a row of a head, zeros beyond its width.
fn head_quad(row: u32, quad: u32) -> vec4<f32> {
    let column = 4u * quad;
    var quad_of_head = vec4<f32>();
    if column < params.width {
        quad_of_head.x = arena[row + column];
    }
    if column + 1u < params.width {
        quad_of_head.y = arena[row + column + 1u];
    }
    if column + 2u < params.width {
        quad_of_head.z = arena[row + column + 2u];
    }
    if column + 3u < params.width {
        quad_of_head.w = arena[row + column + 3u];
    }
    return quad_of_head;
}

fn keep(row: u32, quad: u32, context: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        if 4u * quad + i < params.width {
            arena[row + 4u * quad + i] = context[i];
        }
    }
}

// Zeros after the last head of a row, whose column this is.
fn fill_up(row: u32, column: u32) {
    if column + params.width == params.hidden {
        for (var i = params.hidden; i < params.out_stride; i++) {
            arena[row + i] = 0.0;
        }
    }
}
