// Layer normalisation of x + residual, and NoNorm (normalise = 0), which only scales and shifts. A warp a row; the row
// stays in shared memory.

template <int V>
__device__ void norm(T* y, T* kept, float* rstd, const T* x, const T* residual, const float* weight, const float* bias,
                     u32 rows, u32 h, float eps, u32 normalise) {
    extern __shared__ float shared[];
    u32 lane = threadIdx.x & 31, warps = blockDim.x >> 5, row = blockIdx.x * warps + (threadIdx.x >> 5);
    if (row >= rows) return;
    float* values = shared + (threadIdx.x >> 5) * h;
    u64 start = (u64)row * h;
    float sum = 0.f;
    for (u32 c = lane * V; c < h; c += 32 * V) {
        Pack<V> a = load<V>(x + start + c);
        Pack<V> b = a;
        if (residual) b = load<V>(residual + start + c);
        for (int v = 0; v < V; v++) {
            float value = wide(a.x[v]) + (residual ? wide(b.x[v]) : 0.f);
            values[c + v] = value;
            sum += value;
        }
    }
    float mean = 0.f, scale = 1.f;
    if (normalise) {
        mean = warp_sum(sum) / h;
        float squares = 0.f;
        for (u32 c = lane * V; c < h; c += 32 * V)
            for (int v = 0; v < V; v++) squares += (values[c + v] - mean) * (values[c + v] - mean);
        scale = 1.f / sqrtf(warp_sum(squares) / h + eps);
        if (rstd && lane == 0) rstd[row] = scale;
    }
    for (u32 c = lane * V; c < h; c += 32 * V) {
        Pack<V> out, hat;
        for (int v = 0; v < V; v++) {
            float value = (values[c + v] - mean) * scale;
            hat.x[v] = narrow(value);
            out.x[v] = narrow(value * weight[c + v] + bias[c + v]);
        }
        if (kept) store(kept + start + c, hat);
        store(y + start + c, out);
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
            for (int v = 0; v < V; v++) {
                float value = wide(g.x[v]) * weight[c + v];
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
        for (int v = 0; v < V; v++)
            g.x[v] = narrow((wide(g.x[v]) * weight[c + v] - mean - wide(hat.x[v]) * dot) * scale);
        store(out + start + c, g);
    }
}
WIDTHS(norm_backward,
       (T* out, const T* grad, const T* kept, const float* rstd, const float* weight, u32 rows, u32 h, u32 normalise),
       (out, grad, kept, rstd, weight, rows, h, normalise))
