// Exact products of int8: a word holds four inputs, and sums are integers. Weights have one scale an output, rows of x one
// each, which quantize.wgsl wrote behind them.

alias Quad = vec4<u32>;
alias Sum = vec4<i32>;
alias Kept = vec4<u32>;

@group(0) @binding(0) var<storage, read_write> arena: array<Kept>;
@group(1) @binding(0) var<storage, read> weight: array<Quad>;
@group(1) @binding(1) var<storage, read> scales: array<vec4<f32>>;

fn load_x(at: u32) -> Quad {
    return arena[at];
}

fn load_weight(at: u32) -> Quad {
    return weight[at];
}

fn dots(x: u32, w: Quad) -> Sum {
    return Sum(dot4I8Packed(x, w.x), dot4I8Packed(x, w.y), dot4I8Packed(x, w.z), dot4I8Packed(x, w.w));
}

// Adds sixteen inputs of one row times those of four outputs.
fn multiply_add(sum: Sum, x: Quad, w0: Quad, w1: Quad, w2: Quad, w3: Quad) -> Sum {
    return sum + dots(x.x, w0) + dots(x.y, w1) + dots(x.z, w2) + dots(x.w, w3);
}

fn finish(sum: Sum, row: u32, quad: u32) -> vec4<f32> {
    let scale = bitcast<f32>(arena[params.x_scales + row].x);
    return vec4<f32>(sum) * (scales[quad] * scale);
}

fn keep(y: vec4<f32>) -> Kept {
    return bitcast<Kept>(y);
}
