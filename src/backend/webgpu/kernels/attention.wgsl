// softmax(Q Kᵀ / √d) V inside each sequence and head, without a matrix of scores: a workgroup walks the keys of its sequence with a
// running maximum and sum. What it shares with attention_exact.wgsl stands in head.wgsl.

// The score of a key that does not exist.
const NOTHING = -1e30;

var<workgroup> keys: array<vec4<f32>, KEYS * QUADS>;
var<workgroup> values: array<vec4<f32>, KEYS * QUADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = params.tiles + 3u * group.x;
    let first_row = numbers[tile];
    let length = numbers[tile + 1u];
    let own = numbers[tile + 2u] + thread;
    // A thread beyond the last row does what the last one does, and writes nothing.
    let row = first_row + min(own, length - 1u);
    let column = group.y * params.width;

    let query = params.query + row * params.query_stride + column;
    let query_{q} = params.scale * head_quad(query, {q}u);
    var context_{q} = vec4<f32>();
    var best = NOTHING;
    var sum = 0.0;
    for (var begin = 0u; begin < length; begin += KEYS) {
        workgroupBarrier();
        for (var i = thread; i < KEYS * QUADS; i += THREADS) {
            let key = begin + i / QUADS;
            var here = vec4<f32>();
            var there = vec4<f32>();
            if key < length {
                here = head_quad(params.key + (first_row + key) * params.query_stride + column, i % QUADS);
                there = head_quad(params.value + (first_row + key) * params.value_stride + column, i % QUADS);
            }
            keys[i] = here;
            values[i] = there;
        }
        workgroupBarrier();
        let left = length - begin;
        for (var key = 0u; key < min(KEYS, left); key += 4u) {
            let at = key * QUADS;
            var scores = vec4<f32>();
            scores += vec4(dot(query_{q}, keys[at + {q}u]), dot(query_{q}, keys[at + QUADS + {q}u]), dot(query_{q}, keys[at + 2u * QUADS + {q}u]), dot(query_{q}, keys[at + 3u * QUADS + {q}u]));
            scores = select(vec4(NOTHING), scores, vec4(key) + vec4(0u, 1u, 2u, 3u) < vec4(left));
            let higher = max(max(max(scores.x, scores.y), max(scores.z, scores.w)), best);
            if higher > best {
                let smaller = exp2(best - higher);
                best = higher;
                sum *= smaller;
                context_{q} *= smaller;
            }
            let weights = exp2(scores - best);
            sum += dot(weights, vec4(1.0));
            context_{q} += weights.x * values[at + {q}u] + weights.y * values[at + QUADS + {q}u] + weights.z * values[at + 2u * QUADS + {q}u] + weights.w * values[at + 3u * QUADS + {q}u];
        }
    }
    if own >= length {
        return;
    }
    let out = params.out + row * params.out_stride;
    keep(out + column, {q}u, context_{q} / sum);
    fill_up(out, column);
}
