// What a product does to its result: the numbers are those of `Act` in linear.rs.

const GELU = 1u;
const RELU = 2u;
const TANH = 3u;

fn activate(x: vec4<f32>, act: u32) -> vec4<f32> {
    switch act {
        case GELU: {
            return gelu_erf(x);
        }
        case RELU: {
            return max(x, vec4<f32>());
        }
        case TANH: {
            // Beyond 20 the result is one to the last bit, and the power would leave its range.
            return 1.0 - 2.0 / (exp(2.0 * min(x, vec4(20.0))) + 1.0);
        }
        default: {
            return x;
        }
    }
}

// x · Φ(x) through erfc of the magnitude (Abramowitz and Stegun 7.1.26), so that the negative tail does not cancel:
// max(x, 0) - |x|/2 · erfc(|x|/√2).
fn gelu_erf(x: vec4<f32>) -> vec4<f32> {
    let magnitude = abs(x);
    // p / √2, then half of the coefficients.
    let t = 1.0 / (1.0 + 0.2316419 * magnitude);
    let p = ((((0.5307027 * t - 0.726576) * t + 0.7107069) * t - 0.14224837) * t + 0.1274148) * t;
    return max(x, vec4<f32>()) - p * exp(-0.5 * x * x) * magnitude;
}
