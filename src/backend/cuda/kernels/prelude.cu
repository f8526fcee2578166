// What every kernel begins with. Compiled at run time, once for float and once (-DBF16) for bfloat16 activations; no
// header is needed. Sums are taken in float, in an order that does not depend on timing.

typedef unsigned int u32;
typedef unsigned long long u64;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)

#ifdef BF16
struct T {
    unsigned short bits;
};
__device__ __forceinline__ float wide(T x) { return __uint_as_float((u32)x.bits << 16); }
__device__ __forceinline__ T narrow(float x) {
    T y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}
#else
typedef float T;
__device__ __forceinline__ float wide(T x) { return x; }
__device__ __forceinline__ T narrow(float x) { return x; }
#endif

// V neighbouring activations, read and written in one access; pointers are multiples of its size.
template <int V>
struct alignas(V * sizeof(T)) Pack {
    T x[V];
};

template <int V>
__device__ __forceinline__ Pack<V> load(const T* at) {
    return *reinterpret_cast<const Pack<V>*>(at);
}

template <int V>
__device__ __forceinline__ void store(T* at, Pack<V> pack) {
    *reinterpret_cast<Pack<V>*>(at) = pack;
}

// V neighbouring floats.
template <int V>
__device__ __forceinline__ void load_floats(float* out, const float* at) {
    if (V % 4 == 0) {
        for (int v = 0; v < V; v += 4) *reinterpret_cast<float4*>(out + v) = *reinterpret_cast<const float4*>(at + v);
    } else {
        for (int v = 0; v < V; v++) out[v] = at[v];
    }
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int step = 16; step > 0; step >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

// The sum over a block of at most 1,024 threads, the same in all of them.
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float parts[32];
    __syncthreads();  // the sum before has been read
    x = warp_sum(x);
    if ((threadIdx.x & 31) == 0) parts[threadIdx.x >> 5] = x;
    __syncthreads();
    int warps = (blockDim.x + 31) >> 5;
    float sum = 0.f;
    for (int warp = 0; warp < warps; warp++) sum += parts[warp];
    return sum;
}

// Counts fit 31 bits (the host checks it): a division by a row in 64 would cost more than the numbers that it finds.
__device__ __forceinline__ u32 thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ u32 thread_count() { return gridDim.x * blockDim.x; }

// An entry point for each width of an access: name_1, name_2, name_wide (8 numbers of 16 bits or 4 of 32).
#ifdef BF16
#define WIDEST 8
#else
#define WIDEST 4
#endif
#define WIDTHS(name, parameters, arguments)                                            \
    extern "C" __global__ void name##_1 parameters { name<1> arguments; }              \
    extern "C" __global__ void name##_2 parameters { name<2> arguments; }              \
    extern "C" __global__ void name##_wide parameters { name<WIDEST> arguments; }
