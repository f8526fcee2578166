// What surrounds the matrix products of attention. Heads lie apart as [sequences · heads, L, W]: L is the longest
// sequence and W the width of a head, both rounded up to a multiple of 8 and filled with zeros, as the matrix units like
// them. `starts` holds where each sequence begins, and where the last one ends.

// One of query, key and value: columns from..from + heads · width of rows `stride` wide.
template <int V>
__device__ void split_heads(T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width,
                            u32 stride, u32 from) {
    u32 packs = W / V;
    u32 n = sequences * heads * L * packs;
    for (u32 i = thread_index(); i < n; i += thread_count()) {
        u32 w = i % packs * V;
        u32 rest = i / packs, l = rest % L, map = rest / L, head = map % heads, sequence = map / heads;
        u32 row = starts[sequence] + l;
        Pack<V> out;
        for (int v = 0; v < V; v++) out.x[v] = narrow(0.f);
        if (w < width && row < starts[sequence + 1]) out = load<V>(x + (u64)row * stride + from + head * width + w);
        store(y + (u64)i * V, out);
    }
}
WIDTHS(split_heads,
       (T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width, u32 stride, u32 from),
       (y, x, starts, sequences, heads, L, W, width, stride, from))

// The way back: heads side by side again.
template <int V>
__device__ void merge_heads(T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width,
                            u32 stride, u32 from) {
    u32 packs = W / V;
    u32 n = sequences * heads * L * packs;
    for (u32 i = thread_index(); i < n; i += thread_count()) {
        u32 w = i % packs * V;
        u32 rest = i / packs, l = rest % L, map = rest / L, head = map % heads, sequence = map / heads;
        u32 row = starts[sequence] + l;
        if (w < width && row < starts[sequence + 1])
            store(y + (u64)row * stride + from + head * width + w, load<V>(x + (u64)i * V));
    }
}
WIDTHS(merge_heads,
       (T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width, u32 stride, u32 from),
       (y, x, starts, sequences, heads, L, W, width, stride, from))

// Scores become attention in place, a warp a row: softmax(scale · score) over the keys of the sequence, zeros beyond. A
// lane holds N packs of 4 of the row in registers.
template <int N>
__device__ void softmax(T* scores, const u32* starts, u32 sequences, u32 heads, u32 L, float scale) {
    u32 lane = threadIdx.x & 31, row = thread_index() >> 5;
    if (row >= sequences * heads * L) return;
    u32 sequence = row / (heads * L), length = starts[sequence + 1] - starts[sequence];
    if (row % L >= length) length = 0;  // filled in
    T* at = scores + (u64)row * L;
    float x[N][4], most = -INFINITY, sum = 0.f;
    for (int n = 0; n < N; n++) {
        u32 c = (n * 32 + lane) * 4;
        Pack<4> pack;
        if (c < L) pack = load<4>(at + c);
        for (int v = 0; v < 4; v++) {
            x[n][v] = c + v < length ? scale * wide(pack.x[v]) : -INFINITY;
            most = fmaxf(most, x[n][v]);
        }
    }
    most = warp_max(most);
    for (int n = 0; n < N; n++)
        for (int v = 0; v < 4; v++) {
            x[n][v] = x[n][v] > -INFINITY ? __expf(x[n][v] - most) : 0.f;
            sum += x[n][v];
        }
    sum = warp_sum(sum);
    sum = sum > 0.f ? 1.f / sum : 0.f;
    for (int n = 0; n < N; n++) {
        u32 c = (n * 32 + lane) * 4;
        Pack<4> pack;
        for (int v = 0; v < 4; v++) pack.x[v] = narrow(x[n][v] * sum);
        if (c < L) store(at + c, pack);
    }
}

// The gradient of the scores from that of the attention, in place, a warp a row: scale · p · (g − Σ g · p), where g is
// what comes through the context plus what comes from a loss on the map, if there is one.
template <int N>
__device__ void softmax_backward(T* slope, const T* maps, const T* extra, u32 rows, u32 L, float scale) {
    u32 lane = threadIdx.x & 31, row = thread_index() >> 5;
    if (row >= rows) return;
    u64 start = (u64)row * L;
    float g[N][4], p[N][4], dot = 0.f;
    for (int n = 0; n < N; n++) {
        u32 c = (n * 32 + lane) * 4;
        Pack<4> a, b, e;
        if (c < L) {
            a = load<4>(slope + start + c), b = load<4>(maps + start + c);
            if (extra) e = load<4>(extra + start + c);
        }
        for (int v = 0; v < 4; v++) {
            g[n][v] = c < L ? wide(a.x[v]) + (extra ? wide(e.x[v]) : 0.f) : 0.f;
            p[n][v] = c < L ? wide(b.x[v]) : 0.f;
            dot += g[n][v] * p[n][v];
        }
    }
    dot = warp_sum(dot);
    for (int n = 0; n < N; n++) {
        u32 c = (n * 32 + lane) * 4;
        Pack<4> pack;
        for (int v = 0; v < 4; v++) pack.x[v] = narrow(scale * p[n][v] * (g[n][v] - dot));
        if (c < L) store(slope + start + c, pack);
    }
}

// An entry point for rows of up to 128, 256, 512 and 2,048.
#define LENGTHS(name, parameters, arguments)                                        \
    extern "C" __global__ void name##_128 parameters { name<1> arguments; }         \
    extern "C" __global__ void name##_256 parameters { name<2> arguments; }         \
    extern "C" __global__ void name##_512 parameters { name<4> arguments; }         \
    extern "C" __global__ void name##_2048 parameters { name<16> arguments; }
LENGTHS(softmax, (T* scores, const u32* starts, u32 sequences, u32 heads, u32 L, float scale),
        (scores, starts, sequences, heads, L, scale))
LENGTHS(softmax_backward, (T* slope, const T* maps, const T* extra, u32 rows, u32 L, float scale),
        (slope, maps, extra, rows, L, scale))

// Zeroes probabilities, or their gradients, and scales the rest; `to` may be `from`. An element is numbered as maps lie that
// are not filled in: what is dropped does not depend on L. `squares` holds where the maps of each sequence begin, or is null
// where all sequences are L long. One block a head.
extern "C" __global__ void drop_maps(T* to, const T* from, const u32* starts, const u64* squares, u32 heads, u32 L,
                                     u32 threshold, float scale, u32 low, u32 high) {
    u32 sequence = blockIdx.x / heads, length = starts[sequence + 1] - starts[sequence];
    u64 start = (u64)blockIdx.x * L * L;
    u32 first = squares ? squares[sequence] + (u64)(blockIdx.x % heads) * length * length : start;
    for (u32 i = threadIdx.x; i < L * L; i += blockDim.x) {
        u32 q = i / L, k = i % L;
        bool kept = q < length && k < length && bits(first + q * length + k, low, high) >= threshold;
        to[start + i] = narrow(kept ? wide(from[start + i]) * scale : 0.f);
    }
}

// Where the heads of a part begin in rows `stride` wide, for products that read them there: sequences of equal length.
extern "C" __global__ void head_places(u64* places, u64 base, u32 maps, u32 heads, u32 row_bytes, u32 head_bytes,
                                       u32 length) {
    u32 i = thread_index();
    if (i < maps) places[i] = base + (u64)(i / heads) * length * row_bytes + i % heads * head_bytes;
}

// Maps without what was filled in, one after the other, [L, L] of each head of each sequence; and back. `squares` holds
// where the maps of each sequence begin. One block a head.
extern "C" __global__ void pack_maps(T* y, const T* x, const u32* starts, const u64* squares, u32 heads, u32 L) {
    u32 sequence = blockIdx.x / heads, length = starts[sequence + 1] - starts[sequence];
    T* to = y + squares[sequence] + (u64)(blockIdx.x % heads) * length * length;
    const T* from = x + (u64)blockIdx.x * L * L;
    for (u32 i = threadIdx.x; i < length * length; i += blockDim.x) to[i] = from[i / length * L + i % length];
}

extern "C" __global__ void unpack_maps(T* y, const T* x, const u32* starts, const u64* squares, u32 heads, u32 L) {
    u32 sequence = blockIdx.x / heads, length = starts[sequence + 1] - starts[sequence];
    const T* from = x + squares[sequence] + (u64)(blockIdx.x % heads) * length * length;
    T* to = y + (u64)blockIdx.x * L * L;
    for (u32 i = threadIdx.x; i < L * L; i += blockDim.x) {
        u32 q = i / L, k = i % L;
        to[i] = q < length && k < length ? from[q * length + k] : narrow(0.f);
    }
}
