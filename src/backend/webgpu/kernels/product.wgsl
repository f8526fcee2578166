// What the kernels of products share: what they are told, and what they do to a sum.

struct Params {
    rows: u32,
    // The inputs, or words of four of them: a multiple of 16.
    depth: u32,
    // Where x begins and how far its rows are apart, and where the scales of its rows begin, if it has any: in quads.
    x: u32,
    x_stride: u32,
    x_scales: u32,
    // Where the result begins and how far its rows are apart, in quads of floats.
    out: u32,
    out_stride: u32,
    // From one k to the next, in quads of outputs.
    weight_stride: u32,
    act: u32,
    has_bias: u32,
}

@group(0) @binding(2) var<uniform> params: Params;
@group(2) @binding(0) var<storage, read> bias: array<vec4<f32>>;

fn store(row: u32, quad: u32, sum: Sum) {
    if row >= params.rows || quad >= params.out_stride {
        return;
    }
    var y = finish(sum, row, quad);
    if params.has_bias != 0u {
        y += bias[quad];
    }
    arena[params.out + row * params.out_stride + quad] = keep(activate(y, params.act));
}
