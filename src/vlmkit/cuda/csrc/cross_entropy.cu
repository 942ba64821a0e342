// Negative log-likelihood and log-sum-exp of each row of logits, and their gradient, without storing probabilities.
//
//   lse_i = log sum_j exp(x_ij)      nll_i = lse_i - x_{i, t_i}      (0 where t_i is ignored)
//   dx_ij = (g_i + h_i) exp(x_ij - lse_i) - g_i [j = t_i]            g, h: gradients of nll and lse
//
// Layout: logits and their gradient (N, V) row-major, float or bfloat16; everything else float32 (N,), targets int64.
// Work: one block a row; each thread folds every THREADS-th element into a running (maximum, sum), the block merges them
// by warp shuffles and one shared array. Forward reads the logits once; backward reads them once and writes once.
// Bound: bytes (forward 1, backward 2 passes over the logits; torch's own path makes five).
#include "shim.h"

static constexpr int THREADS = 256, WARPS = THREADS / 32;

struct bfloat16 {  // no header needed: the upper half of a float
  uint16_t bits;
};

__device__ float widen(float value) { return value; }
__device__ float widen(bfloat16 value) {
  union {
    uint32_t bits;
    float value;
  } word = {static_cast<uint32_t>(value.bits) << 16};
  return word.value;
}
__device__ void narrow(float value, float* out) { *out = value; }
__device__ void narrow(float value, bfloat16* out) {
  union {
    float value;
    uint32_t bits;
  } word = {value};
  uint32_t rounded = word.bits + 0x7fff + ((word.bits >> 16) & 1);  // to nearest, ties to even
  out->bits = static_cast<uint16_t>((value != value ? 0x7fc00000u : rounded) >> 16);
}

struct Partial {  // sum of exp(x - top) over some elements
  float top, sum;
};

__device__ Partial merge(Partial a, Partial b) {
  float top = fmaxf(a.top, b.top);
  if (top == -INFINITY) return {top, a.sum + b.sum};  // two empty parts: no inf - inf
  return {top, a.sum * expf(a.top - top) + b.sum * expf(b.top - top)};
}

__device__ Partial merge_lanes(Partial part, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    Partial other = {__shfl_xor_sync(0xffffffffu, part.top, step), __shfl_xor_sync(0xffffffffu, part.sum, step)};
    part = merge(part, other);
  }
  return part;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    forward(const T* logits, const int64_t* targets, int64_t V, int64_t ignored, float* nll, float* lse) {
  __shared__ Partial warps[WARPS];
  const T* row = logits + static_cast<int64_t>(blockIdx.x) * V;
  Partial part = {-INFINITY, 0.0f};
  for (int64_t j = threadIdx.x; j < V; j += THREADS) part = merge(part, {widen(row[j]), 1.0f});
  part = merge_lanes(part, 32);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = part;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < WARPS; ++w) part = merge(part, warps[w]);
    float total = part.top + logf(part.sum);
    int64_t target = targets[blockIdx.x];
    lse[blockIdx.x] = total;
    bool inside = target >= 0 && target < V;
    nll[blockIdx.x] = target == ignored ? 0.0f : inside ? total - widen(row[target]) : NAN;
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    backward(const T* logits, const int64_t* targets, const float* lse, const float* grad_nll, const float* grad_lse,
             int64_t V, int64_t ignored, T* grad) {
  const int64_t i = blockIdx.x, target = targets[i];
  const float g = target == ignored ? 0.0f : grad_nll[i], both = g + grad_lse[i], shift = lse[i];
  const T* row = logits + i * V;
  T* out = grad + i * V;
  for (int64_t j = threadIdx.x; j < V; j += THREADS) {
    float value = both * expf(widen(row[j]) - shift);
    narrow(j == target ? value - g : value, out + j);
  }
}

#define DOORS(suffix, T)                                                                                             \
  extern "C" int cross_entropy_forward_##suffix(const void* logits, const int64_t* targets, int64_t N, int64_t V,    \
                                                int64_t ignored, float* nll, float* lse, void* stream) {             \
    if (N == 0) return 0;                                                                                            \
    return LAUNCH(forward<T>, static_cast<unsigned>(N), THREADS, stream, static_cast<const T*>(logits), targets, V,  \
                  ignored, nll, lse);                                                                                \
  }                                                                                                                  \
  extern "C" int cross_entropy_backward_##suffix(const void* logits, const int64_t* targets, const float* lse,       \
                                                 const float* grad_nll, const float* grad_lse, int64_t N, int64_t V, \
                                                 int64_t ignored, void* grad, void* stream) {                        \
    if (N == 0) return 0;                                                                                            \
    return LAUNCH(backward<T>, static_cast<unsigned>(N), THREADS, stream, static_cast<const T*>(logits), targets,    \
                  lse, grad_nll, grad_lse, V, ignored, static_cast<T*>(grad));                                       \
  }

DOORS(f32, float)
DOORS(bf16, bfloat16)
