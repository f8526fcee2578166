// AdamW over all weights in one launch. A block has one chunk: up to 4,096 neighbouring numbers of one weight.

struct Chunk {
    float* value;
    T* shadow;       // what products read, where that is not `value`; or null
    float* gradient;
    float* first;
    float* second;
    float* average;  // or null
    u32 length;
    u32 weight;      // the number of its pass
};

// As Pass of backend/adamw.rs.
struct Pass {
    float beta1, beta2, root, eps, rate, keep, ema;
};

extern "C" __global__ void gradient_squares(float* partial, const Chunk* chunks) {
    Chunk chunk = chunks[blockIdx.x];
    float sum = 0.f;
    for (u32 i = threadIdx.x; i < chunk.length; i += blockDim.x) sum += chunk.gradient[i] * chunk.gradient[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// norm[0]: the norm of all gradients; norm[1]: what to multiply them with, or NaN where the norm is not finite. skipped[0]:
// how often it was not; skipped[1]: the first step at which.
extern "C" __global__ void gradient_norm(float* norm, u32* skipped, const float* partial, u32 n, float clip, u32 step) {
    float sum = 0.f;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += partial[i];
    sum = sqrtf(block_sum(sum));
    if (threadIdx.x == 0) {
        norm[0] = sum;
        norm[1] = isfinite(sum) ? fminf(clip / (sum + 1e-6f), 1.f) : NAN;
        if (!isfinite(sum) && skipped[0]++ == 0) skipped[1] = step;
    }
}

// One number; a gradient that is not finite moves nothing.
__device__ __forceinline__ float move(const Pass& pass, float scale, float g, float w, float* m, float* v) {
    if (isnan(scale)) return w;
    g *= scale;
    *m = pass.beta1 * *m + (1.f - pass.beta1) * g;
    *v = pass.beta2 * *v + (1.f - pass.beta2) * g * g;
    return w * pass.keep - pass.rate * *m / (sqrtf(*v) / pass.root + pass.eps);
}

extern "C" __global__ void adamw(const Chunk* chunks, const Pass* passes, const float* norm) {
    Chunk chunk = chunks[blockIdx.x];
    Pass pass = passes[chunk.weight];
    float scale = norm[1];
    u32 packs = chunk.length / 4;
    for (u32 i = threadIdx.x; i < packs; i += blockDim.x) {
        float g[4], w[4], m[4], v[4];
        load_floats<4>(g, chunk.gradient + 4 * i);
        load_floats<4>(w, chunk.value + 4 * i);
        load_floats<4>(m, chunk.first + 4 * i);
        load_floats<4>(v, chunk.second + 4 * i);
        for (int k = 0; k < 4; k++) w[k] = move(pass, scale, g[k], w[k], m + k, v + k);
        reinterpret_cast<float4*>(chunk.gradient)[i] = make_float4(0.f, 0.f, 0.f, 0.f);
        reinterpret_cast<float4*>(chunk.value)[i] = make_float4(w[0], w[1], w[2], w[3]);
        reinterpret_cast<float4*>(chunk.first)[i] = make_float4(m[0], m[1], m[2], m[3]);
        reinterpret_cast<float4*>(chunk.second)[i] = make_float4(v[0], v[1], v[2], v[3]);
        if (chunk.shadow) {
            Pack<4> narrowed;
            for (int k = 0; k < 4; k++) narrowed.x[k] = narrow(w[k]);
            store(chunk.shadow + 4 * i, narrowed);
        }
        if (chunk.average)
            for (int k = 0; k < 4; k++) chunk.average[4 * i + k] += (1.f - pass.ema) * (w[k] - chunk.average[4 * i + k]);
    }
    for (u32 i = 4 * packs + threadIdx.x; i < chunk.length; i += blockDim.x) {
        float w = move(pass, scale, chunk.gradient[i], chunk.value[i], chunk.first + i, chunk.second + i);
        chunk.gradient[i] = 0.f;
        chunk.value[i] = w;
        if (chunk.shadow) chunk.shadow[i] = narrow(w);
        if (chunk.average) chunk.average[i] += (1.f - pass.ema) * (w - chunk.average[i]);
    }
}
