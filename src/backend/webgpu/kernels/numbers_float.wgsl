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

// Adds an input of one row times that of four outputs.
fn multiply_add(sum: Sum, x: f32, w: Quad) -> Sum {
    return fma(vec4(x), w, sum);
}

fn finish(sum: Sum, row: u32, quad: u32) -> vec4<f32> {
    return sum;
}

fn keep(y: vec4<f32>) -> Kept {
    return y;
}
