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

// norm[0]: the norm of all gradients; norm[1]: what to multiply them with, or NaN where the norm is not finite.
extern "C" __global__ void gradient_norm(float* norm, const float* partial, u32 n, float clip) {
    float sum = 0.f;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += partial[i];
    sum = sqrtf(block_sum(sum));
    if (threadIdx.x == 0) {
        norm[0] = sum;
        norm[1] = isfinite(sum) ? fminf(clip / (sum + 1e-6f), 1.f) : NAN;
    }
}

extern "C" __global__ void adamw(const Chunk* chunks, const Pass* passes, const float* norm) {
    Chunk chunk = chunks[blockIdx.x];
    Pass pass = passes[chunk.weight];
    float scale = norm[1];
    bool move = !isnan(scale);
    for (u32 i = threadIdx.x; i < chunk.length; i += blockDim.x) {
        float g = chunk.gradient[i] * scale;
        chunk.gradient[i] = 0.f;
        if (!move) continue;
        float m = pass.beta1 * chunk.first[i] + (1.f - pass.beta1) * g;
        float v = pass.beta2 * chunk.second[i] + (1.f - pass.beta2) * g * g;
        float w = chunk.value[i] * pass.keep - pass.rate * m / (sqrtf(v) / pass.root + pass.eps);
        chunk.first[i] = m;
        chunk.second[i] = v;
        chunk.value[i] = w;
        if (chunk.shadow) chunk.shadow[i] = narrow(w);
        if (chunk.average) chunk.average[i] += (1.f - pass.ema) * (w - chunk.average[i]);
    }
}
