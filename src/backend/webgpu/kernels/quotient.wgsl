// a / b of positive normal floats, rounded to the nearest, halves to even: made of integers, because a GPU's division may be off
// by 2.5 units in the last place. The quotient must be a normal number.
fn quotient(a: f32, b: f32) -> f32 {
    var rest = (bitcast<u32>(a) & 0x7fffffu) | 0x800000u;
    let by = (bitcast<u32>(b) & 0x7fffffu) | 0x800000u;
    var power = (bitcast<u32>(a) >> 23u) + 127u - (bitcast<u32>(b) >> 23u);
    if rest < by {
        rest <<= 1u;
        power -= 1u;
    }
    var bits = 0u;
    for (var i = 0u; i < 24u; i++) {
        bits <<= 1u;
        if rest >= by {
            rest -= by;
            bits |= 1u;
        }
        rest <<= 1u;
    }
    if rest > by || (rest == by && (bits & 1u) == 1u) {
        bits += 1u;
    }
    // A mantissa that was rounded up to 2^24 carries into the exponent.
    return bitcast<f32>((power << 23u) + bits - 0x800000u);
}
