// What surrounds the matrix products of a dense layer. Activations: 0 none, 1 gelu (erf), 2 relu, 3 tanh.

// The error function within 1.5e-7: Abramowitz and Stegun 7.1.26, half as many instructions as erff.
__device__ __forceinline__ float error_function(float x) {
    float a = fabsf(x), t = __fdividef(1.f, 1.f + 0.3275911f * a);
    float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
    return copysignf(1.f - p * __expf(-a * a), x);
}

__device__ __forceinline__ float activate(float z, u32 act) {
    if (act == 1) return 0.5f * z * (1.f + error_function(z * 0.70710678118654752f));
    if (act == 2) return fmaxf(z, 0.f);
    if (act == 3) return tanhf(z);
    return z;
}

__device__ __forceinline__ float slope(float z, u32 act) {
    if (act == 1) {
        float cumulative = 0.5f * (1.f + error_function(z * 0.70710678118654752f));
        return cumulative + z * 0.39894228040143268f * __expf(-0.5f * z * z);
    }
    if (act == 2) return z > 0.f ? 1.f : 0.f;
    if (act == 3) {
        float y = tanhf(z);
        return 1.f - y * y;
    }
    return 1.f;
}

// z += bias, y = act(z); z may be y, and bias may be null. Rows of `columns` numbers lie `stride` apart; what lies between
// them is worked on too, because whole packs are faster. A thread has one column of packs in every `lines`-th row, so
// that it reads its bias once.
template <int V>
__device__ void bias_act(T* y, T* z, const float* bias, u32 rows, u32 columns, u32 stride, u32 act, u32 lines) {
    u32 width = stride / V, thread = thread_index(), column = thread % width * V;
    if (thread >= width * lines) return;
    float shift[V] = {};
    if (bias && column + V <= columns) {
        load_floats<V>(shift, bias + column);
    } else if (bias) {
        for (int v = 0; v < V && column + v < columns; v++) shift[v] = bias[column + v];
    }
    for (u32 row = thread / width; row < rows; row += lines) {
        u64 at = (u64)row * stride + column;
        Pack<V> before = load<V>(z + at), after;
        for (int v = 0; v < V; v++) {
            float x = wide(before.x[v]) + shift[v];
            before.x[v] = narrow(x);
            after.x[v] = narrow(activate(x, act));
        }
        if (z != y) store(z + at, before);
        store(y + at, after);
    }
}
WIDTHS(bias_act, (T* y, T* z, const float* bias, u32 rows, u32 columns, u32 stride, u32 act, u32 lines),
       (y, z, bias, rows, columns, stride, act, lines))

// The gradient of z from that of act(z).
template <int V>
__device__ void act_backward(T* out, const T* grad, const T* z, u32 n, u32 act) {
    for (u32 i = thread_index(); i < n / V; i += thread_count()) {
        Pack<V> g = load<V>(grad + (u64)i * V), before = load<V>(z + (u64)i * V);
        for (int v = 0; v < V; v++) g.x[v] = narrow(wide(g.x[v]) * slope(wide(before.x[v]), act));
        store(out + (u64)i * V, g);
    }
}
WIDTHS(act_backward, (T* out, const T* grad, const T* z, u32 n, u32 act), (out, grad, z, n, act))

// Sums over blocks of 512 rows: partial[b, c] = the sum of x[r, c], and if y is there a second half with x · y.
// Blocks of 32 by 8 threads.
extern "C" __global__ void column_sums(float* partial, const T* x, const T* y, u32 rows, u32 columns, u32 stride) {
    __shared__ float sums[2][8][33];
    u32 lane = threadIdx.x & 31, line = threadIdx.x >> 5;
    u32 column = blockIdx.x * 32 + lane, last = min(rows, (blockIdx.y + 1) * 512);
    float sum = 0.f, product = 0.f;
    if (column < columns) {
        for (u32 row = blockIdx.y * 512 + line; row < last; row += 8) {
            float a = wide(x[(u64)row * stride + column]);
            sum += a;
            if (y) product += a * wide(y[(u64)row * stride + column]);
        }
    }
    sums[0][line][lane] = sum;
    sums[1][line][lane] = product;
    __syncthreads();
    if (line < 2 && column < columns && (line == 0 || y)) {
        float total = 0.f;
        for (int i = 0; i < 8; i++) total += sums[line][i][lane];
        partial[((u64)line * gridDim.y + blockIdx.y) * columns + column] = total;
    }
}

// Adds the sums of all blocks, in order.
extern "C" __global__ void add_column_sums(float* total, const float* partial, u32 blocks, u32 columns) {
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    float sum = 0.f;
    for (u32 block = 0; block < blocks; block++) sum += partial[(u64)block * columns + column];
    total[column] += sum;
}
