// What the integers of attention_exact.wgsl stand for: of each sequence and head the largest query, key and value. A workgroup each.
//
// `numbers` holds for each sequence its first row and its length. Written are eight floats: what turns queries, keys and values into
// integers, what a score and what a value is worth, and three zeros.

struct Params {
    // Of a head.
    width: u32,
    heads: u32,
    query: u32,
    key: u32,
    value: u32,
    query_stride: u32,
    value_stride: u32,
    out: u32,
    // The place of the first sequence.
    sequences: u32,
    // log2(e) / √d.
    scale: f32,
}

@group(0) @binding(0) var<storage, read_write> arena: array<f32>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const THREADS = 64u;
const SMALLEST = 1e-30;
const QUERY_KEY = 4095.0;
const VALUE = 1023.0;

var<workgroup> parts: array<vec3<f32>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = numbers[params.sequences + 2u * group.x];
    let length = numbers[params.sequences + 2u * group.x + 1u];
    let column = group.y * params.width;
    var largest = vec3<f32>();
    for (var i = thread; i < length * params.width; i += THREADS) {
        let row = first_row + i / params.width;
        let at = column + i % params.width;
        let here = vec3(
            arena[params.query + row * params.query_stride + at],
            arena[params.key + row * params.query_stride + at],
            arena[params.value + row * params.value_stride + at],
        );
        largest = max(largest, abs(here));
    }
    parts[thread] = largest;
    workgroupBarrier();
    if thread != 0u {
        return;
    }
    for (var i = 1u; i < THREADS; i++) {
        largest = max(largest, parts[i]);
    }
    let out = params.out + 8u * (group.x * params.heads + group.y);
    arena[out] = inverse(largest.x, QUERY_KEY);
    arena[out + 1u] = inverse(largest.y, QUERY_KEY);
    arena[out + 2u] = inverse(largest.z, VALUE);
    arena[out + 3u] = worth(largest.x, QUERY_KEY) * worth(largest.y, QUERY_KEY) * params.scale;
    arena[out + 4u] = worth(largest.z, VALUE);
    arena[out + 5u] = 0.0;
    arena[out + 6u] = 0.0;
    arena[out + 7u] = 0.0;
}

fn inverse(largest: f32, most: f32) -> f32 {
    if largest >= SMALLEST {
        return quotient(most, largest);
    }
    return 0.0;
}

fn worth(largest: f32, most: f32) -> f32 {
    if largest >= SMALLEST {
        return quotient(largest, most);
    }
    return 0.0;
}
