// Losses with their slopes. Each kernel writes one float of loss a block (or a row), which `total` then adds up in a fixed
// order; slopes are written, or added where `sum` is 1.

__device__ __forceinline__ void put(T* slope, float value, u32 sum) {
    *slope = narrow(sum ? wide(*slope) + value : value);
}

// One block a row of [M, V], rows `stride` apart. With labels: logsumexp(z) − z[label]. With a teacher:
// KL(softmax(t / temperature) ‖ softmax(z / temperature)), and plus the teacher's entropy where `entropy` is 1.
template <int V>
__device__ void vocabulary(float* losses, T* slope, const T* logits, const u32* labels, const T* teacher, u32 columns,
                           u32 stride, float temperature, u32 entropy, float weight, u32 sum) {
    u64 start = (u64)blockIdx.x * stride;
    const T *z = logits + start, *t = teacher ? teacher + start : z;
    float cool = 1.f / temperature, z_max = -INFINITY, t_max = -INFINITY, z_sum = 0.f, t_sum = 0.f;
    u32 whole = columns / V * V;
    // One pass: sums are scaled down whenever a larger element turns up.
    for (u32 c = threadIdx.x * V; c < columns; c += blockDim.x * V) {
        bool inside = c < whole;
        Pack<V> a, b;
        if (inside) a = load<V>(z + c), b = load<V>(t + c);
        for (int v = 0; v < V && c + v < columns; v++) {
            float x = cool * wide(inside ? a.x[v] : z[c + v]);
            if (x > z_max) z_sum *= __expf(z_max - x), z_max = x;
            z_sum += __expf(x - z_max);
            if (!teacher) continue;
            float y = cool * wide(inside ? b.x[v] : t[c + v]);
            if (y > t_max) t_sum *= __expf(t_max - y), t_max = y;
            t_sum += __expf(y - t_max);
        }
    }
    __shared__ float shared[4][32];
    u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    float most = warp_max(z_max), highest = warp_max(t_max);
    z_sum = warp_sum(z_max == -INFINITY ? 0.f : z_sum * __expf(z_max - most));
    t_sum = warp_sum(t_max == -INFINITY ? 0.f : t_sum * __expf(t_max - highest));
    if (lane == 0) shared[0][warp] = most, shared[1][warp] = z_sum, shared[2][warp] = highest, shared[3][warp] = t_sum;
    __syncthreads();
    z_max = t_max = -INFINITY;
    for (u32 w = 0; w < warps; w++) z_max = fmaxf(z_max, shared[0][w]), t_max = fmaxf(t_max, shared[2][w]);
    z_sum = t_sum = 0.f;
    for (u32 w = 0; w < warps; w++) {
        if (shared[0][w] > -INFINITY) z_sum += shared[1][w] * __expf(shared[0][w] - z_max);
        if (shared[2][w] > -INFINITY) t_sum += shared[3][w] * __expf(shared[2][w] - t_max);
    }
    float z_log = z_max + logf(z_sum), t_log = teacher ? t_max + logf(t_sum) : 0.f, loss = 0.f;
    u32 label = labels ? labels[blockIdx.x] : 0xffffffffu;
    for (u32 c = threadIdx.x * V; c < columns; c += blockDim.x * V) {
        bool inside = c < whole;
        Pack<V> a, b, out;
        if (inside) a = load<V>(z + c), b = load<V>(t + c);
        if (inside && sum) out = load<V>(slope + start + c);
        for (int v = 0; v < V && c + v < columns; v++) {
            float log_q = cool * wide(inside ? a.x[v] : z[c + v]) - z_log, p = c + v == label ? 1.f : 0.f;
            if (teacher) {
                float log_p = cool * wide(inside ? b.x[v] : t[c + v]) - t_log;
                p = __expf(log_p);
                loss += p * ((entropy ? 0.f : log_p) - log_q);
            } else if (p > 0.f) {
                loss -= log_q;
            }
            float value = weight * cool * (__expf(log_q) - p);
            if (inside) {
                out.x[v] = narrow(sum ? wide(out.x[v]) + value : value);
            } else {
                put(slope + start + c + v, value, sum);
            }
        }
        if (inside) store(slope + start + c, out);
    }
    // What lies between rows of a gradient is zero: products run over it.
    for (u32 c = columns + threadIdx.x; c < stride; c += blockDim.x) slope[start + c] = narrow(0.f);
    loss = block_sum(loss);
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}
WIDTHS(vocabulary,
       (float* losses, T* slope, const T* logits, const u32* labels, const T* teacher, u32 columns, u32 stride,
        float temperature, u32 entropy, float weight, u32 sum),
       (losses, slope, logits, labels, teacher, columns, stride, temperature, entropy, weight, sum))

// Rows of logits from the K words that were kept of each, and one number for all others. One block a row.
extern "C" __global__ void spread_words(T* y, const float* flat, const u32* ids, const float* logits, u32 k, u32 columns,
                                        u32 stride) {
    u64 start = (u64)blockIdx.x * stride, kept = (u64)blockIdx.x * k;
    T other = narrow(flat[blockIdx.x]);
    for (u32 c = threadIdx.x; c < stride; c += blockDim.x) y[start + c] = c < columns ? other : narrow(0.f);
    __syncthreads();
    for (u32 i = threadIdx.x; i < k; i += blockDim.x) y[start + ids[kept + i]] = narrow(logits[kept + i]);
}

// 1 − cos of each row, a warp a row, with what PyTorch adds to each square: a row of zeros has no direction.
extern "C" __global__ void cosine(float* losses, T* slope, const T* x, const T* teacher, u32 rows, u32 h, float weight,
                                  u32 sum) {
    u32 lane = threadIdx.x & 31, row = thread_index() >> 5;
    if (row >= rows) return;
    const T *a = x + (u64)row * h, *b = teacher + (u64)row * h;
    float xx = 0.f, yy = 0.f, xy = 0.f;
    for (u32 c = lane; c < h; c += 32) {
        float u = wide(a[c]), v = wide(b[c]);
        xx += u * u, yy += v * v, xy += u * v;
    }
    float x_norm = sqrtf(warp_sum(xx) + 1e-12f), y_norm = sqrtf(warp_sum(yy) + 1e-12f);
    float similar = warp_sum(xy) / (x_norm * y_norm);
    if (lane == 0) losses[row] = 1.f - similar;
    for (u32 c = lane; c < h; c += 32) {
        float value = -weight * (wide(b[c]) / y_norm - similar * wide(a[c]) / x_norm) / x_norm;
        put(slope + (u64)row * h + c, value, sum);
    }
}

// (x − t)² where `divergence` is 0, else p · ln(p / q) with p = t + 1e-12, q = x + 1e-12; `value` becomes the slope.
__device__ __forceinline__ float element(float q, float p, u32 divergence, float weight, float* value) {
    if (divergence) {
        q += 1e-12f, p += 1e-12f;
        *value = -weight * p / q;
        return p * logf(p / q);
    }
    *value = 2.f * weight * (q - p);
    return (q - p) * (q - p);
}

// Sums of `element` and its slopes; `weight` holds one over n.
extern "C" __global__ void elements(float* losses, T* slope, const T* x, const T* teacher, u32 n, u32 divergence,
                                    float weight, u32 sum) {
    float loss = 0.f, value;
    u32 packs = n / WIDEST;
    for (u32 i = thread_index(); i < packs; i += thread_count()) {
        u64 from = (u64)i * WIDEST;
        Pack<WIDEST> a = load<WIDEST>(x + from), b = load<WIDEST>(teacher + from), out;
        if (sum) out = load<WIDEST>(slope + from);
        for (int v = 0; v < WIDEST; v++) {
            loss += element(wide(a.x[v]), wide(b.x[v]), divergence, weight, &value);
            out.x[v] = narrow(sum ? wide(out.x[v]) + value : value);
        }
        store(slope + from, out);
    }
    for (u32 i = packs * WIDEST + thread_index(); i < n; i += thread_count()) {
        loss += element(wide(x[i]), wide(teacher[i]), divergence, weight, &value);
        put(slope + i, value, sum);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}

// to = weight · Σ x, added to what is there where `add` is 1. One block.
extern "C" __global__ void total(float* to, const float* x, u32 n, float weight, u32 add) {
    float sum = 0.f;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *to = weight * sum + (add ? *to : 0.f);
}
