// Numbers that only change their place or their width.

extern "C" __global__ void narrow_all(T* y, const float* x, u32 n) {
    for (u32 i = thread_index(); i < n; i += thread_count()) y[i] = narrow(x[i]);
}

// Rows of `columns` numbers that lie `stride` apart, packed.
extern "C" __global__ void widen_rows(float* y, const T* x, u32 n, u32 columns, u32 stride) {
    for (u32 i = thread_index(); i < n; i += thread_count()) y[i] = wide(x[(u64)(i / columns) * stride + i % columns]);
}

extern "C" __global__ void add(T* z, const T* x, const T* y, u32 n) {
    u32 packs = n / WIDEST;
    for (u32 i = thread_index(); i < packs; i += thread_count()) {
        Pack<WIDEST> a = load<WIDEST>(x + i * WIDEST), b = load<WIDEST>(y + i * WIDEST);
        for (int v = 0; v < WIDEST; v++) a.x[v] = narrow(wide(a.x[v]) + wide(b.x[v]));
        store(z + i * WIDEST, a);
    }
    for (u32 i = packs * WIDEST + thread_index(); i < n; i += thread_count()) z[i] = narrow(wide(x[i]) + wide(y[i]));
}

// y[r, :] = the sum over tables of table[ids[r], :]; a table that is not there is null.
template <int V>
__device__ void embed(T* y, const T* a, const u32* a_ids, const T* b, const u32* b_ids, const T* c, const u32* c_ids,
                      u32 rows, u32 h) {
    u32 width = h / V;
    for (u32 i = thread_index(); i < rows * width; i += thread_count()) {
        u32 row = i / width, at = i % width * V;
        float sum[V] = {};
        const T* tables[3] = {a, b, c};
        const u32* ids[3] = {a_ids, b_ids, c_ids};
        for (int t = 0; t < 3; t++) {
            if (!tables[t]) continue;
            Pack<V> part = load<V>(tables[t] + (u64)ids[t][row] * h + at);
            for (int v = 0; v < V; v++) sum[v] += wide(part.x[v]);
        }
        Pack<V> out;
        for (int v = 0; v < V; v++) out.x[v] = narrow(sum[v]);
        store(y + (u64)row * h + at, out);
    }
}
WIDTHS(embed, (T* y, const T* a, const u32* a_ids, const T* b, const u32* b_ids, const T* c, const u32* c_ids, u32 rows, u32 h),
       (y, a, a_ids, b, b_ids, c, c_ids, rows, h))

// The way back of a look-up. `order` holds row numbers sorted by what they looked up; a block sums one run of them, so
// that the sum of a row that was looked up often is shared out and still taken in a fixed order. `starts` holds where each
// run begins in `order`, and where the last one ends.
extern "C" __global__ void sum_runs(float* partial, const T* grad, const u32* order, const u32* starts, u32 h) {
    u32 run = blockIdx.x;
    for (u32 c = threadIdx.x; c < h; c += blockDim.x) {
        float sum = 0.f;
        for (u32 i = starts[run]; i < starts[run + 1]; i++) sum += wide(grad[(u64)order[i] * h + c]);
        partial[(u64)run * h + c] = sum;
    }
}

// Adds the runs of each row to the gradient of a table in float.
extern "C" __global__ void add_runs_to_weight(float* gradient, const float* partial, const u32* targets,
                                              const u32* first_run, u32 h) {
    u32 target = blockIdx.x;
    for (u32 c = threadIdx.x; c < h; c += blockDim.x) {
        float sum = 0.f;
        for (u32 run = first_run[target]; run < first_run[target + 1]; run++) sum += partial[(u64)run * h + c];
        gradient[(u64)targets[target] * h + c] += sum;
    }
}

// Adds the runs of each row to an activation's gradient.
extern "C" __global__ void add_runs_to_rows(T* gradient, const float* partial, const u32* targets, const u32* first_run,
                                            u32 h) {
    u32 target = blockIdx.x;
    for (u32 c = threadIdx.x; c < h; c += blockDim.x) {
        float sum = 0.f;
        for (u32 run = first_run[target]; run < first_run[target + 1]; run++) sum += partial[(u64)run * h + c];
        T* at = gradient + (u64)targets[target] * h + c;
        *at = narrow(wide(*at) + sum);
    }
}

extern "C" __global__ void gather_rows(T* y, const T* x, const u32* rows, u32 n, u32 h) {
    for (u32 i = thread_index(); i < n; i += thread_count()) y[i] = x[(u64)rows[i / h] * h + i % h];
}

// Columns `from..from + columns` of rows `stride` wide.
extern "C" __global__ void take_columns(T* y, const T* x, u32 n, u32 columns, u32 stride, u32 from) {
    for (u32 i = thread_index(); i < n; i += thread_count()) y[i] = x[(u64)(i / columns) * stride + from + i % columns];
}

// The way back of take_columns into zeros.
extern "C" __global__ void put_columns(T* y, const T* x, u32 n, u32 columns, u32 stride, u32 from) {
    for (u32 i = thread_index(); i < n; i += thread_count()) {
        u32 column = i % stride;
        bool inside = column >= from && column < from + columns;
        y[i] = inside ? x[(u64)(i / stride) * columns + column - from] : narrow(0.f);
    }
}

// [next, own, previous] of each row in its own sequence. `edges[r]`: bit 0, r is the first of its sequence; bit 1, the
// last.
extern "C" __global__ void trigram(T* y, const T* x, const u32* edges, u32 n, u32 h) {
    for (u32 i = thread_index(); i < n; i += thread_count()) {
        u32 row = i / (3 * h);
        u32 part = i % (3 * h) / h, column = i % h;
        bool beyond = (part == 0 && (edges[row] & 2)) || (part == 2 && (edges[row] & 1));
        y[i] = beyond ? narrow(0.f) : x[(u64)(row + 1 - part) * h + column];
    }
}

extern "C" __global__ void trigram_backward(T* slope, const T* grad, const u32* edges, u32 n, u32 h) {
    for (u32 i = thread_index(); i < n; i += thread_count()) {
        u32 row = i / h, column = i % h;
        float sum = wide(grad[(u64)row * 3 * h + h + column]);
        if (!(edges[row] & 1)) sum += wide(grad[(u64)(row - 1) * 3 * h + column]);
        if (!(edges[row] & 2)) sum += wide(grad[(u64)(row + 1) * 3 * h + 2 * h + column]);
        slope[i] = narrow(sum);
    }
}

// The generator of kernels/random.rs, number for number.
__device__ __forceinline__ u32 bits(u32 i, u32 low, u32 high) {
    u32 x = i ^ low;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    x = (x ^ (x >> 16)) + high;
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = (x ^ (x >> 15)) * 0x735a2d97u;
    return x ^ (x >> 15);
}

template <int V>
__device__ void dropout(T* y, const T* x, u32 n, u32 threshold, float scale, u32 low, u32 high) {
    for (u32 i = thread_index() * V; i < n; i += thread_count() * V) {
        Pack<V> pack = load<V>(x + i);
        for (int v = 0; v < V; v++) {
            bool kept = bits(i + v, low, high) >= threshold;
            pack.x[v] = narrow(kept ? wide(pack.x[v]) * scale : 0.f);
        }
        store(y + i, pack);
    }
}
WIDTHS(dropout, (T* y, const T* x, u32 n, u32 threshold, float scale, u32 low, u32 high),
       (y, x, n, threshold, scale, low, high))
