// One .cu source, two consumers: nvcc, and g++ for tests on machines without a GPU.
//
// Under g++ each thread of a block is a fiber (ucontext) with its own stack. A fiber runs until it waits at a barrier
// (__syncthreads, or the exchange of a warp shuffle) and then hands over to the next one; blocks run one after the
// other, so __shared__ is a static variable. shim_order chooses in which order fibers are visited (0 forward,
// 1 backward, other values shuffle): a kernel that lacks a barrier gives other results in another order.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define LAUNCH(kernel, grid, block, stream, ...) \
  (kernel<<<(grid), (block), 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__), static_cast<int>(cudaGetLastError()))
#else
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#define __global__ static
#define __device__ static inline
#define __shared__ static
#define __launch_bounds__(n)

struct Index {
  unsigned x;
};
static Index blockIdx, blockDim, gridDim, threadIdx;

namespace shim {

struct Barrier {
  unsigned waiting = 0, generation = 0;
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(128 << 10);
  bool done = false;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static std::function<void()> body;
static Barrier block_barrier, warp_barriers[32];
static uint64_t slots[1024];
static int order = 0;

inline void yield() {
  unsigned self = threadIdx.x;
  swapcontext(&fibers[self].context, &scheduler);
}

inline void wait(Barrier& barrier, unsigned members) {
  unsigned generation = barrier.generation;
  if (++barrier.waiting == members) {
    barrier.waiting = 0;
    ++barrier.generation;
  }
  while (barrier.generation == generation) yield();
}

inline void enter() {
  body();
  fibers[threadIdx.x].done = true;
  swapcontext(&fibers[threadIdx.x].context, &scheduler);
}

inline int launch(unsigned grid, unsigned block, std::function<void()> kernel) {
  body = std::move(kernel);
  gridDim.x = grid;
  blockDim.x = block;
  std::vector<unsigned> visit(block);
  std::iota(visit.begin(), visit.end(), 0u);
  if (order == 1) std::reverse(visit.begin(), visit.end());
  if (order > 1) std::shuffle(visit.begin(), visit.end(), std::mt19937(order));
  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x) {
    fibers = std::vector<Fiber>(block);
    block_barrier = Barrier();
    std::fill(std::begin(warp_barriers), std::end(warp_barriers), Barrier());
    for (Fiber& fiber : fibers) {
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = &scheduler;
      makecontext(&fiber.context, enter, 0);
    }
    for (bool alive = true; alive;) {
      alive = false;
      for (unsigned thread : visit) {
        if (fibers[thread].done) continue;
        alive = true;
        threadIdx.x = thread;
        swapcontext(&scheduler, &fibers[thread].context);
      }
    }
  }
  return 0;
}

template <typename T>
inline T exchange(T value, unsigned other) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most eight bytes");
  unsigned self = threadIdx.x, warp = self / 32, lanes = std::min(32u, blockDim.x - warp * 32);
  __builtin_memcpy(&slots[self], &value, sizeof(T));
  wait(warp_barriers[warp], lanes);
  T got = value;
  if (other < blockDim.x) __builtin_memcpy(&got, &slots[other], sizeof(T));
  wait(warp_barriers[warp], lanes);
  return got;
}

}  // namespace shim

static inline void __syncthreads() { shim::wait(shim::block_barrier, blockDim.x); }
template <typename T>
static inline T __shfl_xor_sync(unsigned, T value, int lanes) {
  return shim::exchange(value, threadIdx.x ^ static_cast<unsigned>(lanes));
}
extern "C" void shim_order(int order) { shim::order = order; }

#define LAUNCH(kernel, grid, block, stream, ...) \
  ((void)(stream), shim::launch((grid), (block), [=] { kernel(__VA_ARGS__); }))
#endif
