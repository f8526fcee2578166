// What surrounds the matrix products of attention. Heads lie apart as [sequences · heads, L, W]: L is the longest
// sequence and W the width of a head, both rounded up to a multiple of 8 and filled with zeros, as the matrix units like
// them. `starts` holds where each sequence begins, and where the last one ends.

// One of query, key and value: columns from..from + heads · width of rows `stride` wide.
template <int V>
__device__ void split_heads(T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width,
                            u32 stride, u32 from) {
    u32 packs = W / V;
    u64 n = (u64)sequences * heads * L * packs;
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        u32 w = i % packs * V;
        u64 rest = i / packs;
        u32 l = rest % L;
        rest /= L;
        u32 head = rest % heads, sequence = rest / heads;
        u32 row = starts[sequence] + l;
        Pack<V> out;
        for (int v = 0; v < V; v++) out.x[v] = narrow(0.f);
        if (w < width && row < starts[sequence + 1]) out = load<V>(x + (u64)row * stride + from + head * width + w);
        store(y + i * V, out);
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
    u64 n = (u64)sequences * heads * L * packs;
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        u32 w = i % packs * V;
        u64 rest = i / packs;
        u32 l = rest % L;
        rest /= L;
        u32 head = rest % heads, sequence = rest / heads;
        u32 row = starts[sequence] + l;
        if (w < width && row < starts[sequence + 1])
            store(y + (u64)row * stride + from + head * width + w, load<V>(x + i * V));
    }
}
WIDTHS(merge_heads,
       (T* y, const T* x, const u32* starts, u32 sequences, u32 heads, u32 L, u32 W, u32 width, u32 stride, u32 from),
       (y, x, starts, sequences, heads, L, W, width, stride, from))

// Scores become attention in place, a warp a row: softmax(scale · score) over the keys of the sequence, zeros beyond.
extern "C" __global__ void softmax(T* scores, const u32* starts, u32 sequences, u32 heads, u32 L, float scale) {
    u32 lane = threadIdx.x & 31;
    u64 row = thread_index() >> 5;
    if (row >= (u64)sequences * heads * L) return;
    u32 sequence = row / ((u64)heads * L);
    u32 length = starts[sequence + 1] - starts[sequence];
    T* at = scores + row * L;
    if (row % L >= length) {
        for (u32 c = lane; c < L; c += 32) at[c] = narrow(0.f);
        return;
    }
    float most = -INFINITY, sum = 0.f;
    for (u32 c = lane; c < length; c += 32) most = fmaxf(most, wide(at[c]));
    most = warp_max(most);
    for (u32 c = lane; c < length; c += 32) sum += __expf(scale * (wide(at[c]) - most));
    sum = 1.f / warp_sum(sum);
    for (u32 c = lane; c < L; c += 32) at[c] = narrow(c < length ? __expf(scale * (wide(at[c]) - most)) * sum : 0.f);
}

// The gradient of the scores from that of the attention, in place, a warp a row: scale · p · (g − Σ g · p), where g is
// what comes through the context plus what comes from a loss on the map, if there is one.
extern "C" __global__ void softmax_backward(T* slope, const T* maps, const T* extra, u64 rows, u32 L, float scale) {
    u32 lane = threadIdx.x & 31;
    u64 row = thread_index() >> 5;
    if (row >= rows) return;
    T* g = slope + row * L;
    const T* p = maps + row * L;
    const T* e = extra ? extra + row * L : 0;
    float dot = 0.f;
    for (u32 c = lane; c < L; c += 32) dot += (wide(g[c]) + (e ? wide(e[c]) : 0.f)) * wide(p[c]);
    dot = warp_sum(dot);
    for (u32 c = lane; c < L; c += 32)
        g[c] = narrow(scale * wide(p[c]) * (wide(g[c]) + (e ? wide(e[c]) : 0.f) - dot));
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
