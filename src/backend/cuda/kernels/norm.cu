// Layer normalisation of x + residual, and NoNorm (normalise = 0), which only scales and shifts. A warp a row. A lane holds
// the first four packs of its row in registers and reads the others again, which only rows of over 1,024 have.

#define HELD 4

template <int V>
__device__ __forceinline__ void sum_pack(float* out, const T* x, const T* residual, u64 at) {
    Pack<V> a = load<V>(x + at), b;
    if (residual) b = load<V>(residual + at);
    for (int v = 0; v < V; v++) out[v] = wide(a.x[v]) + (residual ? wide(b.x[v]) : 0.f);
}

template <int V>
__device__ __forceinline__ void put_normal(T* y, T* kept, const float* values, const float* weight, const float* bias,
                                           u64 start, u32 c, float mean, float scale) {
    Pack<V> out, hat;
    float w[V], b[V];
    load_floats<V>(w, weight + c);
    load_floats<V>(b, bias + c);
    for (int v = 0; v < V; v++) {
        float value = (values[v] - mean) * scale;
        hat.x[v] = narrow(value);
        out.x[v] = narrow(value * w[v] + b[v]);
    }
    if (kept) store(kept + start + c, hat);
    store(y + start + c, out);
}

template <int V>
__device__ void norm(T* y, T* kept, float* rstd, const T* x, const T* residual, const float* weight, const float* bias,
                     u32 rows, u32 h, float eps, u32 normalise) {
    u32 lane = threadIdx.x & 31, warps = blockDim.x >> 5, row = blockIdx.x * warps + (threadIdx.x >> 5);
    if (row >= rows) return;
    u64 start = (u64)row * h;
    float held[HELD][V], other[V], sum = 0.f, squares = 0.f, mean = 0.f, scale = 1.f;
    u32 beyond = HELD * 32 * V + lane * V;
#pragma unroll
    for (int n = 0; n < HELD; n++) {
        u32 c = (n * 32 + lane) * V;
        if (c < h) sum_pack<V>(held[n], x, residual, start + c);
        for (int v = 0; v < V; v++) {
            if (c >= h) held[n][v] = 0.f;
            sum += held[n][v];
        }
    }
    for (u32 c = beyond; c < h; c += 32 * V) {
        sum_pack<V>(other, x, residual, start + c);
        for (int v = 0; v < V; v++) sum += other[v];
    }
    if (normalise) {
        mean = warp_sum(sum) / h;
#pragma unroll
        for (int n = 0; n < HELD; n++)
            if ((n * 32 + lane) * V < h)
                for (int v = 0; v < V; v++) squares += (held[n][v] - mean) * (held[n][v] - mean);
        for (u32 c = beyond; c < h; c += 32 * V) {
            sum_pack<V>(other, x, residual, start + c);
            for (int v = 0; v < V; v++) squares += (other[v] - mean) * (other[v] - mean);
        }
        scale = 1.f / sqrtf(warp_sum(squares) / h + eps);
        if (rstd && lane == 0) rstd[row] = scale;
    }
#pragma unroll
    for (int n = 0; n < HELD; n++) {
        u32 c = (n * 32 + lane) * V;
        if (c < h) put_normal<V>(y, kept, held[n], weight, bias, start, c, mean, scale);
    }
    for (u32 c = beyond; c < h; c += 32 * V) {
        sum_pack<V>(other, x, residual, start + c);
        put_normal<V>(y, kept, other, weight, bias, start, c, mean, scale);
    }
}
WIDTHS(norm,
       (T* y, T* kept, float* rstd, const T* x, const T* residual, const float* weight, const float* bias, u32 rows,
        u32 h, float eps, u32 normalise),
       (y, kept, rstd, x, residual, weight, bias, rows, h, eps, normalise))

// The gradient of x + residual from that of y: g = grad · weight, (g − mean(g) − kept · mean(g · kept)) · rstd.
template <int V>
__device__ void norm_backward(T* out, const T* grad, const T* kept, const float* rstd, const float* weight, u32 rows,
                              u32 h, u32 normalise) {
    u32 lane = threadIdx.x & 31, warps = blockDim.x >> 5, row = blockIdx.x * warps + (threadIdx.x >> 5);
    if (row >= rows) return;
    u64 start = (u64)row * h;
    float mean = 0.f, dot = 0.f, scale = 1.f;
    if (normalise) {
        for (u32 c = lane * V; c < h; c += 32 * V) {
            Pack<V> g = load<V>(grad + start + c), hat = load<V>(kept + start + c);
            float w[V];
            load_floats<V>(w, weight + c);
            for (int v = 0; v < V; v++) {
                float value = wide(g.x[v]) * w[v];
                mean += value;
                dot += value * wide(hat.x[v]);
            }
        }
        mean = warp_sum(mean) / h;
        dot = warp_sum(dot) / h;
        scale = rstd[row];
    }
    for (u32 c = lane * V; c < h; c += 32 * V) {
        Pack<V> g = load<V>(grad + start + c), hat = load<V>(kept + start + c);
        float w[V];
        load_floats<V>(w, weight + c);
        for (int v = 0; v < V; v++)
            g.x[v] = narrow((wide(g.x[v]) * w[v] - mean - wide(hat.x[v]) * dot) * scale);
        store(out + start + c, g);
    }
}
WIDTHS(norm_backward,
       (T* out, const T* grad, const T* kept, const float* rstd, const float* weight, u32 rows, u32 h, u32 normalise),
       (out, grad, kept, rstd, weight, rows, h, normalise))
