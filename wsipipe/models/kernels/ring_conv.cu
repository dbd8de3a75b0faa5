// Ring convolution of channels-last features on a GPU; the CPU kernel's arithmetic in thread blocks.
//
// A block of 256 threads computes 16 x 16 pixels by NT outputs. For each 16 channels it copies the pixels with their
// halo into shared memory (load_tile), sums the rings there, two channels and eight pixels per thread
// (sum_rings), and multiplies them by the packed weights (tensor cores for bfloat16). Ring sums never
// leave the block. Every sum has the same order in all eight orientations.
//
// Compiled as C++ instead of CUDA, the same phases run thread after thread, so the tiling is tested without a GPU.

#include <cstdint>
#include <cstring>
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <mma.h>
#define HD __host__ __device__ __forceinline__
#else
#include <vector>
#define HD inline
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

namespace {

constexpr int TILE = 16, CB = 16, THREADS = 256, PIXELS = TILE * TILE, LINE = PIXELS + 8, RUN = 8;

struct bf16 {
  uint16_t bits;
};

HD float widen(float x) { return x; }
HD float widen(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float out;
  memcpy(&out, &bits, 4);
  return out;
}
HD void narrow(float x, float* out) { *out = x; }
HD void narrow(float x, bf16* out) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  out->bits = nan ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

struct Job {
  const void* input;       // (B, H, W, C)
  void* output;            // (B, Ho, Wo, O)
  const void* weight;      // (ceil(O / NT), blocks, rings, CB, NT)
  const float* bias;       // (ceil(O / NT) * NT)
  const float* mix;        // (rings, orbits)
  const int32_t* ring_of;  // unused here: index mode has a mix of zeros and ones
  int64_t batch, height, width, channels, outputs;
  int64_t kernel, padding, rings, threads;
  // The further fields of the CPU kernel's Job (second input, resampling, residual, ReLU) are not used here.
};

struct alignas(16) Chunk {
  uint32_t words[4];
};
HD void copy_chunk(const void* from, void* to) {
  *static_cast<Chunk*>(to) = *static_cast<const Chunk*>(from);
}

struct Pair {
  float a, b;
};
HD Pair operator+(Pair p, Pair q) { return {p.a + q.a, p.b + q.b}; }

HD constexpr int orbit_count(int k) {
  int count = 0;
  for (int r2 = 0; 4 * r2 < k * k; ++r2) {
    bool found = false;
    for (int a = 0; a <= k / 2; ++a)
      for (int b = 0; b <= a; ++b) found |= a * a + b * b == r2;
    count += found;
  }
  return count;
}

HD constexpr int orbit_r2(int k, int index) {
  for (int r2 = 0;; ++r2)
    for (int a = 0, found = 0; a <= k / 2; ++a)
      for (int b = 0; b <= a; ++b)
        if (!found && a * a + b * b == r2) {
          found = 1;
          if (index-- == 0) return r2;
        }
}

// Layout of a tile's row in shared memory: a gap after each 8 pixels, and a length of 2 more than a multiple of 4,
// place the four runs of a warp in different banks.
template <int K>
constexpr int ROW = ((TILE + K - 1) + (TILE + K - 2) / RUN + 1) / 4 * 4 + 2;
HD constexpr int column(int x) { return x + x / RUN; }

template <class T, int K>
struct Shared {
  static constexpr int rings = K / 2 + 1;
  alignas(16) T tile[(TILE + K - 1) * ROW<K> * CB];
  alignas(16) T sums[rings * CB * LINE];  // channel of a ring by pixels
  float mix[rings * orbit_count(K)];
};

struct Place {
  int64_t image, top, left, panel;
};

template <class T, int K>
HD void load_tile(const Job& job, Place at, int64_t first, int thread, Shared<T, K>& shared) {
  constexpr int side = TILE + K - 1, unit = 16 / sizeof(T), units = CB / unit;
  const T* image = static_cast<const T*>(job.input) + at.image * job.height * job.width * job.channels;
  const bool whole = job.channels % unit == 0;
  for (int i = thread; i < side * side * units; i += THREADS) {
    const int c = i % units * unit, x = i / units % side, y = i / units / side;
    const int64_t from_y = at.top + y - job.padding, from_x = at.left + x - job.padding;
    const bool inside = from_y >= 0 && from_y < job.height && from_x >= 0 && from_x < job.width;
    const T* from = image + (from_y * job.width + from_x) * job.channels + first + c;
    T* to = shared.tile + (y * ROW<K> + column(x)) * CB + c;
    alignas(16) T values[unit] = {};
    if (inside && whole && first + c < job.channels) copy_chunk(from, values);
    else if (inside)
      for (int e = 0; e < unit; ++e)
        if (first + c + e < job.channels) values[e] = from[e];
    copy_chunk(values, to);
  }
}

template <class T, int K>
struct Taps {
  const T* origin;  // first pixel of the run, first channel of the pair
  HD Pair at(int dy, int x) const {
    const T* p = origin + ((K / 2 + dy) * ROW<K> + column(K / 2 + x)) * CB;
    return {widen(p[0]), widen(p[1])};
  }
  HD Pair both(int px, int dy, int dx) const { return at(dy, px + dx) + at(-dy, px - dx); }
  HD Pair turned(int px, int dy, int dx) const { return both(px, dy, dx) + both(px, -dx, dy); }
};

template <int A, int B, class T, int K>
HD Pair orbit(const Taps<T, K>& taps, int px) {
  if constexpr (A == 0) return taps.at(0, px);
  else if constexpr (B == 0 || A == B) return taps.turned(px, A, B);
  else return taps.turned(px, A, B) + taps.turned(px, A, -B);
}

template <int R2, int A, int B, class T, int K>
HD Pair ring_sum(const Taps<T, K>& taps, int px) {
  if constexpr (B > A) return ring_sum<R2, A + 1, 0>(taps, px);
  else if constexpr (A * A + B * B != R2) return ring_sum<R2, A, B + 1>(taps, px);
  else if constexpr (R2 == 25 && A == 4) return orbit<4, 3>(taps, px) + orbit<5, 0>(taps, px);
  else return orbit<A, B>(taps, px);
}

template <int J, class T, int K, int N>
HD void mix_orbits(const Taps<T, K>& taps, const float* mix, Pair (&acc)[N][RUN]) {
  constexpr int count = orbit_count(K);
  if constexpr (J < count) {
#pragma unroll
    for (int px = 0; px < RUN; ++px) {
      const Pair sum = ring_sum<orbit_r2(K, J), 0, 0>(taps, px);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        acc[i][px].a += mix[i * count + J] * sum.a;
        acc[i][px].b += mix[i * count + J] * sum.b;
      }
    }
    mix_orbits<J + 1>(taps, mix, acc);
  }
}

template <class T, int K>
HD void sum_rings(int thread, Shared<T, K>& shared) {
  constexpr int N = Shared<T, K>::rings;
  const int channel = thread % 8 * 2, run = thread / 8, y = run / 2, x = run % 2 * RUN;
  const Taps<T, K> taps{shared.tile + (y * ROW<K> + column(x)) * CB + channel};
  Pair acc[N][RUN] = {};
  mix_orbits<0>(taps, shared.mix, acc);
#pragma unroll
  for (int i = 0; i < N; ++i)
    for (int half = 0; half < 2; ++half) {
      alignas(16) T values[RUN];
#pragma unroll
      for (int px = 0; px < RUN; ++px) narrow(half ? acc[i][px].b : acc[i][px].a, values + px);
      T* to = shared.sums + (i * CB + channel + half) * LINE + y * TILE + x;
      for (int e = 0; e < RUN; e += 16 / sizeof(T)) copy_chunk(values + e, to + e);
    }
}

template <class T, int K, int NT>
HD const T* weights(const Job& job, Place at, int64_t block) {
  const int64_t depth = Shared<T, K>::rings * CB, blocks = (job.channels + CB - 1) / CB;
  return static_cast<const T*>(job.weight) + (at.panel * blocks + block) * depth * NT;
}

// Part of the product computed by one thread: RUN pixels by NT / 8 outputs.
template <class T, int K, int NT>
HD void multiply(int thread, const T* weight, const Shared<T, K>& shared, float (&acc)[RUN][NT / 8]) {
  const int px = thread / 8 * RUN, output = thread % 8 * (NT / 8);
  for (int k = 0; k < Shared<T, K>::rings * CB; ++k)
#pragma unroll
    for (int o = 0; o < NT / 8; ++o) {
      const float factor = widen(weight[k * NT + output + o]);
#pragma unroll
      for (int p = 0; p < RUN; ++p) acc[p][o] += widen(shared.sums[k * LINE + px + p]) * factor;
    }
}

template <class T>
HD void write(const Job& job, Place at, int px, int64_t output, float value) {
  const int64_t width = job.width + 2 * job.padding - job.kernel + 1;
  const int64_t height = job.height + 2 * job.padding - job.kernel + 1;
  const int64_t y = at.top + px / TILE, x = at.left + px % TILE;
  if (y >= height || x >= width || output >= job.outputs) return;
  T* out = static_cast<T*>(job.output) + ((at.image * height + y) * width + x) * job.outputs + output;
  narrow(value + job.bias[output], out);
}

template <class T, int NT>
HD void write_run(const Job& job, Place at, int thread, const float (&acc)[RUN][NT / 8]) {
  for (int p = 0; p < RUN; ++p)
    for (int o = 0; o < NT / 8; ++o)
      write<T>(job, at, thread / 8 * RUN + p, at.panel * NT + thread % 8 * (NT / 8) + o, acc[p][o]);
}

HD Place place(const Job& job, int64_t tile, int64_t panel) {
  const int64_t across = (job.width + 2 * job.padding - job.kernel + TILE) / TILE;
  const int64_t down = (job.height + 2 * job.padding - job.kernel + TILE) / TILE;
  return {tile / across / down, tile / across % down * TILE, tile % across * TILE, panel};
}

HD int64_t tiles(const Job& job) {
  const int64_t across = (job.width + 2 * job.padding - job.kernel + TILE) / TILE;
  return job.batch * across * ((job.height + 2 * job.padding - job.kernel + TILE) / TILE);
}

#ifdef __CUDACC__

using namespace nvcuda;

template <int K, int NT>
__device__ void multiply_tensor(const Job& job, Place at, Shared<bf16, K>& shared, int64_t block,
                                wmma::fragment<wmma::accumulator, 16, 16, 16, float> (&acc)[2][NT / 16]) {
  const auto* weight = reinterpret_cast<const __nv_bfloat16*>(weights<bf16, K, NT>(job, at, block));
  const auto* sums = reinterpret_cast<const __nv_bfloat16*>(shared.sums) + threadIdx.x / 32 * 32;
  for (int k = 0; k < Shared<bf16, K>::rings * CB; k += 16) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::col_major> pixels[2];
    for (int m = 0; m < 2; ++m) wmma::load_matrix_sync(pixels[m], sums + k * LINE + m * 16, LINE);
#pragma unroll
    for (int n = 0; n < NT / 16; ++n) {
      wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::row_major> factors;
      wmma::load_matrix_sync(factors, weight + k * NT + n * 16, NT);
      for (int m = 0; m < 2; ++m) wmma::mma_sync(acc[m][n], pixels[m], factors, acc[m][n]);
    }
  }
}

template <int NT>
__device__ void write_tensor(const Job& job, Place at, float* staging,
                             wmma::fragment<wmma::accumulator, 16, 16, 16, float> (&acc)[2][NT / 16]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float* mine = staging + warp * 256;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < NT / 16; ++n) {
      wmma::store_matrix_sync(mine, acc[m][n], 16, wmma::mem_row_major);
      __syncwarp();
      for (int i = lane; i < 256; i += 32)
        write<bf16>(job, at, warp * 32 + m * 16 + i / 16, at.panel * NT + n * 16 + i % 16, mine[i]);
      __syncwarp();
    }
}

template <class T, int K, int NT>
__global__ void __launch_bounds__(THREADS) ring_conv(Job job) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<T, K>*>(memory);
  const Place at = place(job, blockIdx.x, blockIdx.y);
  const int thread = threadIdx.x;
  for (int i = thread; i < Shared<T, K>::rings * orbit_count(K); i += THREADS) shared.mix[i] = job.mix[i];
  constexpr bool tensor = sizeof(T) == 2;
  float acc[RUN][NT / 8] = {};
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fragments[2][NT / 16];
  for (auto& row : fragments)
    for (auto& fragment : row) wmma::fill_fragment(fragment, 0.f);
  for (int64_t block = 0; block * CB < job.channels; ++block) {
    load_tile<T, K>(job, at, block * CB, thread, shared);
    __syncthreads();
    sum_rings<T, K>(thread, shared);
    __syncthreads();
    if constexpr (tensor) multiply_tensor<K, NT>(job, at, shared, block, fragments);
    else multiply<T, K, NT>(thread, weights<T, K, NT>(job, at, block), shared, acc);
  }
  __syncthreads();
  if constexpr (tensor) write_tensor<NT>(job, at, reinterpret_cast<float*>(memory), fragments);
  else write_run<T, NT>(job, at, thread, acc);
}

template <class T, int K, int NT>
int launch(const Job& job, cudaStream_t stream) {
  constexpr size_t bytes = sizeof(Shared<T, K>) > 8192 ? sizeof(Shared<T, K>) : 8192;
  const dim3 grid(unsigned(tiles(job)), unsigned((job.outputs + NT - 1) / NT));
  cudaFuncSetAttribute(ring_conv<T, K, NT>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  ring_conv<T, K, NT><<<grid, THREADS, bytes, stream>>>(job);
  return int(cudaGetLastError());
}

#else

typedef void* cudaStream_t;

template <class T, int K, int NT>
int launch(const Job& job, cudaStream_t) {
  struct Accumulators {
    float values[RUN][NT / 8];
  };
  for (int64_t tile = 0; tile < tiles(job); ++tile)
    for (int64_t panel = 0; panel * NT < job.outputs; ++panel) {
      const Place at = place(job, tile, panel);
      std::vector<Shared<T, K>> memory(1);
      auto& shared = memory[0];
      memcpy(shared.mix, job.mix, sizeof(shared.mix));
      std::vector<Accumulators> acc(THREADS);
      for (int64_t block = 0; block * CB < job.channels; ++block) {
        for (int t = 0; t < THREADS; ++t) load_tile<T, K>(job, at, block * CB, t, shared);
        for (int t = 0; t < THREADS; ++t) sum_rings<T, K>(t, shared);
        for (int t = 0; t < THREADS; ++t)
          multiply<T, K, NT>(t, weights<T, K, NT>(job, at, block), shared, acc[t].values);
      }
      for (int t = 0; t < THREADS; ++t) write_run<T, NT>(job, at, t, acc[t].values);
    }
  return 0;
}

#endif

template <class T, int K>
int run_panels(const Job& job, cudaStream_t stream, int panel) {
  switch (panel) {
    case 16: return launch<T, K, 16>(job, stream);
    case 32: return launch<T, K, 32>(job, stream);
    case 64: return launch<T, K, 64>(job, stream);
  }
  if constexpr (sizeof(T) == 2)
    if (panel == 128) return launch<T, K, 128>(job, stream);
  return -1;
}

template <class T>
int run(const Job& job, cudaStream_t stream, int panel) {
  switch (job.kernel) {
    case 3: return run_panels<T, 3>(job, stream, panel);
    case 5: return run_panels<T, 5>(job, stream, panel);
    case 7: return run_panels<T, 7>(job, stream, panel);
    case 9: return run_panels<T, 9>(job, stream, panel);
  }
  return -1;
}

}  // namespace

extern "C" {
EXPORT int ring_conv_cuda_f32(const Job* job, void* stream, int panel) { return run<float>(*job, (cudaStream_t)stream, panel); }
EXPORT int ring_conv_cuda_bf16(const Job* job, void* stream, int panel) { return run<bf16>(*job, (cudaStream_t)stream, panel); }
}
