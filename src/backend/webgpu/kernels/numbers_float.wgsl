// Products of floats. `Weight` is vec4<f32>, or vec4<f16> where weights are stored in half the bytes; what is multiplied and
// summed is f32 in any case.

alias Quad = vec4<f32>;
alias Sum = vec4<f32>;
alias Kept = vec4<f32>;

@group(0) @binding(0) var<storage, read_write> arena: array<Kept>;
@group(1) @binding(0) var<storage, read> weight: array<Weight>;

fn load_x(at: u32) -> Quad {
    return arena[at];
}

fn load_weight(at: u32) -> Quad {
    return Quad(weight[at]);
}

// Adds four inputs of one row times those of four outputs.
fn multiply_add(sum: Sum, x: Quad, w0: Quad, w1: Quad, w2: Quad, w3: Quad) -> Sum {
    return fma(vec4(x.w), w3, fma(vec4(x.z), w2, fma(vec4(x.y), w1, fma(vec4(x.x), w0, sum))));
}

fn finish(sum: Sum, row: u32, quad: u32) -> vec4<f32> {
    return sum;
}

fn keep(y: vec4<f32>) -> Kept {
    return y;
}
