// The CPU twin of cross_entropy.cu: the same rows, the same formulas, the same doors (the stream is a thread count).
//
// Each row is read twice while it lies in the cache (maximum, then sum of exponentials) and once more by the gradient.
// Sums run in LANES fixed lanes, so that the bits depend neither on the width of the processor's vectors nor on the
// number of threads. Bound: exponentials, about one a cycle and lane of the vector unit.
#include <cmath>
#include <cstdint>
#include <cstring>

static constexpr int LANES = 16;
static constexpr int64_t WORK_A_THREAD = 1 << 16;  // elements below which another thread costs more than it saves

// exp by 2^n times a polynomial on [-ln2/2, ln2/2] (its Taylor terms up to the seventh); 0 below the normal numbers.
static inline float exponential(float x) {
  float clipped = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  float n = std::nearbyint(clipped * 1.44269504f);
  float r = clipped - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  float value = p * scale;
  return x < -87.0f ? 0.0f : x != x ? x : value;
}

static float highest(const float* row, int64_t V) {
  float lanes[LANES];
  for (int l = 0; l < LANES; ++l) lanes[l] = -INFINITY;
  int64_t j = 0;
  for (; j + LANES <= V; j += LANES)
    for (int l = 0; l < LANES; ++l) lanes[l] = row[j + l] > lanes[l] ? row[j + l] : lanes[l];
  float top = -INFINITY;
  for (; j < V; ++j) top = row[j] > top ? row[j] : top;
  for (int l = 0; l < LANES; ++l) top = lanes[l] > top ? lanes[l] : top;
  return top;
}

static float sum_exponentials(const float* row, int64_t V, float top) {
  float lanes[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= V; j += LANES)
    for (int l = 0; l < LANES; ++l) lanes[l] += exponential(row[j + l] - top);
  double sum = 0;
  for (; j < V; ++j) sum += exponential(row[j] - top);
  for (int l = 0; l < LANES; ++l) sum += lanes[l];
  return static_cast<float>(std::log(sum));
}

// OpenMP, because torch's own workers are OpenMP's: they are the ones that do this work too. Other threads would fight
// for the cores with torch's, which spin for a while after each operation (measured: 2 to 20 times slower on 2 cores).
template <typename Body>
static int over_rows(int64_t N, int64_t V, int64_t threads, Body body) {
  int64_t useful = N * V / WORK_A_THREAD + 1;
  int team = static_cast<int>(threads < useful ? threads : useful);
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (int64_t i = 0; i < N; ++i) body(i);
  return 0;
}

extern "C" int cross_entropy_forward_f32(const float* logits, const int64_t* targets, int64_t N, int64_t V,
                                         int64_t ignored, float* nll, float* lse, int64_t threads) {
  return over_rows(N, V, threads, [=](int64_t i) {
    const float* row = logits + i * V;
    float top = highest(row, V);
    lse[i] = top == -INFINITY ? top : top + sum_exponentials(row, V, top);
    bool inside = targets[i] >= 0 && targets[i] < V;
    nll[i] = targets[i] == ignored ? 0.0f : inside ? lse[i] - row[targets[i]] : NAN;
  });
}

extern "C" int cross_entropy_backward_f32(const float* logits, const int64_t* targets, const float* lse,
                                          const float* grad_nll, const float* grad_lse, int64_t N, int64_t V,
                                          int64_t ignored, float* grad, int64_t threads) {
  return over_rows(N, V, threads, [=](int64_t i) {
    const float* row = logits + i * V;
    float* out = grad + i * V;
    float g = targets[i] == ignored ? 0.0f : grad_nll[i], both = g + grad_lse[i], shift = lse[i];
    for (int64_t j = 0; j < V; ++j) out[j] = both * exponential(row[j] - shift);
    if (targets[i] != ignored && targets[i] >= 0 && targets[i] < V) out[targets[i]] -= g;
  });
}
