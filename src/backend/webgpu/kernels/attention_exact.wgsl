// Attention of int8 models as the CPU does it, summed in integers, so that both give the same answers: queries and keys of thirteen
// bits, weights of sixteen, values of eleven. A workgroup walks the keys twice: for the best score, then for weights and context. What
// it shares with attention.wgsl stands in head.wgsl.

// The weight of a row's best score is two to the power of this.
const WEIGHT_LOG2 = 14.9997;
// Keys whose part of the context is summed in integers: 64 · 32767 · 1023 fits an i32.
const RUN = 64u;

var<workgroup> keys: array<vec4<i32>, KEYS * QUADS>;
var<workgroup> values: array<vec4<i32>, KEYS * QUADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = params.tiles + 4u * group.x;
    let first_row = numbers[tile];
    let length = numbers[tile + 1u];
    let own = numbers[tile + 2u] + thread;
    // A thread beyond the last row does what the last one does, and writes nothing.
    let row = first_row + min(own, length - 1u);
    let column = group.y * params.width;
    let scales = params.scales + 8u * (numbers[tile + 3u] * params.heads + group.y);
    let of_query = arena[scales];
    let of_key = arena[scales + 1u];
    let of_value = arena[scales + 2u];
    let unit = arena[scales + 3u];

    let query = params.query + row * params.query_stride + column;
    let query_{q} = head_integers(query, {q}u, of_query);
    var most = -2147483647;
    for (var begin = 0u; begin < length; begin += KEYS) {
        workgroupBarrier();
        for (var i = thread; i < KEYS * QUADS; i += THREADS) {
            let at = params.key + (first_row + min(begin + i / QUADS, length - 1u)) * params.query_stride + column;
            keys[i] = head_integers(at, i % QUADS, of_key);
        }
        workgroupBarrier();
        // Beyond the last key the last one stands again, which leaves the maximum alone.
        for (var key = 0u; key < KEYS; key++) {
            var sum = 0;
            sum += product(query_{q}, keys[key * QUADS + {q}u]);
            most = max(most, sum);
        }
    }

    let best = f32(most) * unit - WEIGHT_LOG2;
    var run_{q} = vec4<i32>();
    var context_{q} = vec4<f32>();
    var total = 0;
    for (var begin = 0u; begin < length; begin += KEYS) {
        workgroupBarrier();
        for (var i = thread; i < KEYS * QUADS; i += THREADS) {
            let from_row = first_row + min(begin + i / QUADS, length - 1u);
            keys[i] = head_integers(params.key + from_row * params.query_stride + column, i % QUADS, of_key);
            values[i] = head_integers(params.value + from_row * params.value_stride + column, i % QUADS, of_value);
        }
        workgroupBarrier();
        for (var key = 0u; key < min(KEYS, length - begin); key++) {
            var sum = 0;
            sum += product(query_{q}, keys[key * QUADS + {q}u]);
            let weight = i32(round(exp2_short(f32(sum) * unit - best)));
            total += weight;
            run_{q} += weight * values[key * QUADS + {q}u];
        }
        if (begin + KEYS) % RUN == 0u || begin + KEYS >= length {
            context_{q} += vec4<f32>(run_{q});
            run_{q} = vec4<i32>();
        }
    }
    if own >= length {
        return;
    }
    let out = params.out + row * params.out_stride;
    var scale = 0.0;
    let worth = arena[scales + 4u];
    if worth > 0.0 {
        scale = quotient(worth, f32(total));
    }
    keep(out + column, {q}u, context_{q} * scale);
    fill_up(out, column);
}

fn product(x: vec4<i32>, y: vec4<i32>) -> i32 {
    let each = x * y;
    return each.x + each.y + each.z + each.w;
}

// 2^x as the CPU makes it, relative error under 1e-4.
fn exp2_short(x: f32) -> f32 {
    let bounded = max(x, -100.0);
    let whole = round(bounded);
    let f = bounded - whole;
    let high = f * 5.517164e-2 + 0.24261112;
    let low = f * 0.693261 + 0.99992806;
    return (high * (f * f) + low) * bitcast<f32>(u32(i32(whole) + 127) << 23u);
}

fn head_integers(row: u32, quad: u32, scale: f32) -> vec4<i32> {
    return vec4<i32>(round(head_quad(row, quad) * scale));
}
