// Ring convolution of channels-last features: ring sums that stay in cache, then a matrix product.
//
// A tile of pixels with its halo is copied, VL channels at a time, into a zero-padded float32 block; on the way
// it may be pooled or up-sampled, or come from two inputs, channel after channel. Stage 1
// adds the taps of each orbit (cells at one distance) and mixes the orbits to rings. Stage 2 multiplies the
// rings by the packed weights, accumulating in registers; a residual and ReLU are applied before the result is
// written. The vectors are GCC vector extensions, so one source serves AVX-512, AVX2 and all other machines.
//
// Every sum has the same order in all orientations of the input: an orbit is added along the subgroups
// point mirror < quarter turns < all eight, so that rotated input only swaps the operands of an addition,
// and every pixel's matrix product runs over rings and channels in the same order. That order does not depend on
// the width of the vectors either, so float32 results are bitwise identical on every processor with FMA.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <omp.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

namespace {

#if defined(RING_LANES)  // set by tests that compare vector widths
constexpr int VL = RING_LANES, MR1 = 10, MR2 = 6;
#elif defined(__AVX512F__)
constexpr int VL = 16, MR1 = 24, MR2 = 12;
#elif defined(__AVX__)
constexpr int VL = 8, MR1 = 10, MR2 = 6;
#else
constexpr int VL = 4, MR1 = 10, MR2 = 6;
#endif
#if defined(__AVX512BF16__)
constexpr bool BF16_PRODUCTS = true;
#else
constexpr bool BF16_PRODUCTS = false;
#endif

// Vectors whose rings are mixed at once: as many as registers hold (AVX2 has 16, AVX-512 32).
constexpr int GROUP = VL == 8 ? 2 : 4;
constexpr int TILE = 16, ROWS = 32;  // px; a tile is at most ROWS x TILE
// Rings held at once per pixel; an odd number of cache lines, which avoids set conflicts.
constexpr int ROW_BYTES = 1344;

typedef float vec __attribute__((vector_size(VL * 4)));
typedef float vec_at __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint16_t bf16;

template <class P>
constexpr int64_t ROW = ROW_BYTES / sizeof(P);

ALWAYS_INLINE vec load(const float* p) { return *reinterpret_cast<const vec_at*>(p); }
ALWAYS_INLINE void store(float* p, vec v) { *reinterpret_cast<vec_at*>(p) = v; }
ALWAYS_INLINE vec splat(float x) { return x - vec{}; }

ALWAYS_INLINE vec fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && defined(RING_LANES)
  vec out;
  for (int lane = 0; lane < VL; ++lane) out[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return out;
#elif defined(__FMA__)
  return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

ALWAYS_INLINE float widen(bf16 x) {
  uint32_t bits = uint32_t(x) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}
ALWAYS_INLINE float widen(float x) { return x; }

ALWAYS_INLINE void narrow(float x, float* out) { *out = x; }
ALWAYS_INLINE void narrow(float x, bf16* out) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bool nan = (bits & 0x7fffffff) > 0x7f800000;
  *out = nan ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

ALWAYS_INLINE void narrow(vec v, float* out) { store(out, v); }
ALWAYS_INLINE void narrow(vec v, bf16* out) {
#if defined(__AVX512BF16__)
  __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  std::memcpy(out, &half, 32);
#else
  for (int lane = 0; lane < VL; ++lane) narrow(v[lane], out + lane);
#endif
}

ALWAYS_INLINE vec widened(const float* p) { return load(p); }
ALWAYS_INLINE vec widened(const bf16* p) {
#if defined(__AVX512F__)
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
  return (vec)_mm512_slli_epi32(wide, 16);
#else
  vec v;
  for (int lane = 0; lane < VL; ++lane) v[lane] = widen(p[lane]);
  return v;
#endif
}

// A part of an array in memory, of height x width px (height 0: the whole array is read). Reading begins at (top, left),
// in px of the finer of the two grids: of the array, or of what it is up-sampled to.
struct Window {
  int64_t height, width, top, left;
};

struct Job {
  const void* input;      // (B, H, W, C); (B, 2 H, 2 W, C) if pooled, (B, H / 2, W / 2, C) if up-sampled
  void* output;           // (B, Ho, Wo, O)
  const void* weight;     // (ceil(O / VL), blocks, rings, CB, VL), bf16 in pairs of channels
  const float* bias;      // (ceil(O / VL) * VL)
  const float* mix;       // (rings, orbits), or null: the rings are sums of orbits
  const int32_t* ring_of; // (orbits), ring to which each orbit is added, ascending
  int64_t batch, height, width, channels, outputs;
  int64_t kernel, padding, rings, threads;
  const void* second;     // a second input with the channels from `split` on, or null
  const void* residual;   // added to the result, in its shape, or null
  int64_t split;          // channels of `input`
  int64_t scale, second_scale;  // of the inputs: -1 to be pooled, 0 as they are, 1 to be up-sampled
  int64_t relu;
  Window window, second_window, residual_window;  // parts of the inputs that are read, and of the residual
  const uint8_t* needed;  // (height, width) of `mask`, cells of `cell` px of which others than 0 are computed, or null
  Window mask;            // top, left: place of the output's first px in the mask, px
  int64_t cell;
};

struct Tile {
  int64_t image, top, left;  // in the output
  int rows, cols;
};

// ---- stage 1: orbits and rings ---------------------------------------------------------------------------

constexpr int orbit_count(int k) {
  int count = 0, half = k / 2;
  for (int r2 = 0; 4 * r2 < k * k; ++r2) {
    bool found = false;
    for (int a = 0; a <= half; ++a)
      for (int b = 0; b <= a; ++b) found |= a * a + b * b == r2;
    count += found;
  }
  return count;
}

template <int K>
struct Orbits {
  static constexpr int count = orbit_count(K);
  int r2[count] = {};
  constexpr Orbits() {
    int at = 0, half = K / 2;
    for (int r = 0; 4 * r < K * K; ++r) {
      bool found = false;
      for (int a = 0; a <= half; ++a)
        for (int b = 0; b <= a; ++b) found |= a * a + b * b == r;
      if (found) r2[at++] = r;
    }
  }
};

template <int K, int CB>
struct Taps {
  static constexpr int64_t row = int64_t(TILE + K - 1) * CB;
  const float* centre;
  ALWAYS_INLINE vec at(int dy, int dx) const { return load(centre + dy * row + dx * CB); }
  ALWAYS_INLINE vec both(int dy, int dx) const { return at(dy, dx) + at(-dy, -dx); }
  ALWAYS_INLINE vec turned(int dy, int dx) const { return both(dy, dx) + both(-dx, dy); }
};

template <int K, int CB, int A, int B>
ALWAYS_INLINE vec orbit(Taps<K, CB> taps) {
  if constexpr (A == 0) return taps.at(0, 0);
  else if constexpr (B == 0 || A == B) return taps.turned(A, B);
  else return taps.turned(A, B) + taps.turned(A, -B);
}

template <int K, int CB, int R2, int A = 0, int B = 0>
ALWAYS_INLINE vec ring_sum(Taps<K, CB> taps) {
  if constexpr (A > K / 2) return vec{};
  else if constexpr (B > A) return ring_sum<K, CB, R2, A + 1, 0>(taps);
  else if constexpr (A * A + B * B != R2) return ring_sum<K, CB, R2, A, B + 1>(taps);
  else if constexpr (R2 == 25 && A == 4) return orbit<K, CB, 4, 3>(taps) + orbit<K, CB, 5, 0>(taps);
  else return orbit<K, CB, A, B>(taps);
}

// Writes a ring of some pixels; `at` counts the channels, CB per pixel, before the first of `v`.
template <int CB, class P>
ALWAYS_INLINE void put(vec v, int at, P* rings) {
  rings += at / CB * ROW<P> + at % CB;
  if constexpr (CB >= VL) return narrow(v, rings);
  P lanes[VL];
  narrow(v, lanes);
  for (int px = 0; px < VL / CB; ++px) std::memcpy(rings + px * ROW<P>, lanes + px * CB, CB * sizeof(P));
}

template <int K, int CB, class P, int J = 0, int N>
ALWAYS_INLINE void mix_orbits(const Job& job, const float* centre, vec (&acc)[N][GROUP]) {
  constexpr Orbits<K> orbits;
  if constexpr (J < Orbits<K>::count) {
    vec sums[GROUP];
    for (int g = 0; g < GROUP; ++g) sums[g] = ring_sum<K, CB, orbits.r2[J]>(Taps<K, CB>{centre + g * VL});
    for (int i = 0; i < N; ++i) {
      vec factor = splat(job.mix[i * Orbits<K>::count + J]);
      for (int g = 0; g < GROUP; ++g) acc[i][g] = fma(factor, sums[g], acc[i][g]);
    }
    mix_orbits<K, CB, P, J + 1>(job, centre, acc);
  }
}

template <int K, int CB, class P, int J = 0>
ALWAYS_INLINE void add_orbits(const Job& job, const float* centre, int at, P* rings, vec sum) {
  constexpr Orbits<K> orbits;
  constexpr int count = Orbits<K>::count;
  if constexpr (J < count) {
    sum = sum + ring_sum<K, CB, orbits.r2[J]>(Taps<K, CB>{centre + at});
    if (J + 1 == count || job.ring_of[J + 1 < count ? J + 1 : J] != job.ring_of[J]) {
      put<CB>(sum, at, rings + job.ring_of[J] * CB);
      sum = vec{};
    }
    add_orbits<K, CB, P, J + 1>(job, centre, at, rings, sum);
  }
}

template <int K, int CB, int N, class P>
ALWAYS_INLINE void put_mixed(const Job& job, const float* centre, P* out) {
  vec acc[N][GROUP] = {};
  mix_orbits<K, CB, P>(job, centre, acc);
  for (int i = 0; i < N; ++i)
    for (int g = 0; g < GROUP; ++g) put<CB>(acc[i][g], g * VL, out + i * CB);
}

template <int K, int CB, class P>
void sum_rings(const Job& job, const Tile& tile, const float* block, P* rings) {
  constexpr int px = GROUP * VL / CB, N = K / 2 + 1;
  for (int y = 0; y < tile.rows; ++y)
    for (int x = 0; x < tile.cols; x += px) {
      const float* centre = block + (y + K / 2) * Taps<K, CB>::row + (x + K / 2) * CB;
      P* out = rings + (int64_t(y) * tile.cols + x) * ROW<P>;
      if (!job.mix)
        for (int g = 0; g < GROUP; ++g) add_orbits<K, CB, P>(job, centre, g * VL, out, vec{});
      else if (job.rings == N) put_mixed<K, CB, N>(job, centre, out);
      else put_mixed<K, CB, N + 1>(job, centre, out);
    }
}

// One input: its pixels at the size that the layer reads, resampled while they are read.
template <class T>
struct LayerInput {
  const T* data;
  int64_t channels, first, height, width, scale, top = 0, left = 0;

  LayerInput(const Job& job, int64_t image, int64_t channel) {
    const bool is_second = job.second && channel >= job.split;
    scale = is_second ? job.second_scale : job.scale;
    channels = is_second ? job.channels - job.split : job.second ? job.split : job.channels;
    first = is_second ? channel - job.split : channel;
    height = scale < 0 ? 2 * job.height : job.height >> scale;
    width = scale < 0 ? 2 * job.width : job.width >> scale;
    const Window& part = is_second ? job.second_window : job.window;
    if (part.height) height = part.height, width = part.width, top = part.top, left = part.left;
    data = static_cast<const T*>(is_second ? job.second : job.input) + image * height * width * channels + first;
  }
  ALWAYS_INLINE const T* at(int64_t y, int64_t x) const { return data + (y * width + x) * channels; }
};

template <class V, class T>
ALWAYS_INLINE V read(const T* from) {
  if constexpr (sizeof(V) == sizeof(vec)) return widened(from);
  else return widen(*from);
}

// Mean of 2x2 px; bilinear by pixel centres: (9 near + 3 (beside + above) + far) / 16, edges repeated. Diagonals
// and beside + above are added first, so that rotated input only swaps operands.
template <class V, class T>
ALWAYS_INLINE V pooled(const LayerInput<T>& from, int64_t y, int64_t x, int64_t c) {
  const T *near = from.at(2 * y + from.top, 2 * x + from.left) + c, *below = near + from.width * from.channels;
  const V falling = read<V>(near) + read<V>(below + from.channels);
  return (falling + (read<V>(near + from.channels) + read<V>(below))) * 0.25f;
}

template <class V, class T>
ALWAYS_INLINE V upsampled(const LayerInput<T>& from, int64_t y, int64_t x, int64_t c) {
  y += from.top, x += from.left;
  const int64_t ny = y >> 1, nx = x >> 1;
  const int64_t fy = std::clamp<int64_t>(ny + (y & 1) * 2 - 1, 0, from.height - 1);
  const int64_t fx = std::clamp<int64_t>(nx + (x & 1) * 2 - 1, 0, from.width - 1);
  const V sides = read<V>(from.at(ny, fx) + c) + read<V>(from.at(fy, nx) + c);
  return (read<V>(from.at(ny, nx) + c) * 9.f + sides * 3.f + read<V>(from.at(fy, fx) + c)) * 0.0625f;
}

template <class V, class T>
ALWAYS_INLINE V pixel(const LayerInput<T>& from, int64_t y, int64_t x, int64_t c) {
  if (from.scale < 0) return pooled<V>(from, y, x, c);
  if (from.scale > 0) return upsampled<V>(from, y, x, c);
  return read<V>(from.at(y + from.top, x + from.left) + c);
}

// Resamples the input to the size that a layer reads, (B, H, W, C), as copy_block does.
template <class T>
void resample(const Job& job) {
  const int64_t rows = job.batch * job.height, vectors = job.channels / VL * VL;
#pragma omp parallel for num_threads(int(job.threads)) schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const LayerInput<T> source(job, row / job.height, 0);
    const int64_t y = row % job.height;
    T* out = static_cast<T*>(job.output) + row * job.width * job.channels;
    for (int64_t x = 0; x < job.width; ++x, out += job.channels) {
      for (int64_t c = 0; c < vectors; c += VL) narrow(pixel<vec>(source, y, x, c), out + c);
      for (int64_t c = vectors; c < job.channels; ++c) narrow(pixel<float>(source, y, x, c), out + c);
    }
  }
}

template <int K, int CB, class T>
void copy_block(const Job& job, const Tile& tile, int64_t first, float* block) {
  const LayerInput<T> source(job, tile.image, first);
  const int valid = int(std::min<int64_t>(CB, source.channels - source.first));
  for (int y = 0; y < tile.rows + K - 1; ++y) {
    float* row = block + y * Taps<K, CB>::row;
    const int64_t from_y = tile.top + y - job.padding, from_x = tile.left - job.padding;
    const int cols = tile.cols + K - 1;
    if (from_y < 0 || from_y >= job.height) {
      std::memset(row, 0, size_t(cols) * CB * 4);
      continue;
    }
    const int begin = int(std::clamp<int64_t>(-from_x, 0, cols));
    const int end = int(std::clamp<int64_t>(job.width - from_x, begin, cols));
    std::memset(row, 0, size_t(begin) * CB * 4);
    const T* as_is = source.at(from_y + source.top, from_x + source.left);
    for (int x = begin; x < end; ++x) {
      if (CB % VL == 0 && valid == CB && !source.scale) {
        for (int c = 0; c < CB; c += VL) store(row + x * CB + c, widened(as_is + x * source.channels + c));
        __builtin_prefetch(as_is + x * source.channels + CB);
      }
      else if (CB % VL == 0 && valid == CB)
        for (int c = 0; c < CB; c += VL) store(row + x * CB + c, pixel<vec>(source, from_y, from_x + x, c));
      else if (!source.scale)
        for (int c = 0; c < CB; ++c) row[x * CB + c] = c < valid ? widen(as_is[x * source.channels + c]) : 0.f;
      else
        for (int c = 0; c < CB; ++c)
          row[x * CB + c] = c < valid ? pixel<float>(source, from_y, from_x + x, c) : 0.f;
    }
    std::memset(row + end * CB, 0, size_t(cols - end) * CB * 4);
  }
}

// ---- stage 2: matrix product -----------------------------------------------------------------------------

template <int MR, int NV>
ALWAYS_INLINE void multiply(const float* a, const float* b, int64_t panel, int64_t depth,
                     vec (&acc)[MR][NV]) {
  for (int64_t k = 0; k < depth; ++k) {
    vec factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = load(b + v * panel + k * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      vec x = splat(a[r * ROW<float> + k]);
      for (int v = 0; v < NV; ++v) acc[r][v] = fma(x, factor[v], acc[r][v]);
    }
  }
}

#if defined(__AVX512BF16__)
template <int MR, int NV>
ALWAYS_INLINE void multiply(const bf16* a, const bf16* b, int64_t panel, int64_t depth,
                     vec (&acc)[MR][NV]) {
  for (int64_t k = 0; k < depth; k += 2) {
    __m512bh factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = (__m512bh)_mm512_loadu_si512(b + v * panel + k * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      int32_t pair;
      std::memcpy(&pair, a + r * ROW<bf16> + k, 4);
      __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
      for (int v = 0; v < NV; ++v)
        acc[r][v] = (vec)_mm512_dpbf16_ps((__m512)acc[r][v], x, factor[v]);
    }
  }
}
#endif

// Output pointers and sizes, copied from the job, which stores may alias.
template <class T>
struct Sink {
  T* const output;
  const T* const residual;
  const int64_t outputs;
  const bool relu;

  explicit Sink(const Job& job)
      : output(static_cast<T*>(job.output)), residual(static_cast<const T*>(job.residual)),
        outputs(job.outputs), relu(job.relu) {}

  // Adds the residual, applies ReLU (NaN stays NaN), and writes the outputs of a pixel, from `first` on.
  ALWAYS_INLINE void put(vec v, int64_t pixel, int64_t beside, int64_t first) const {
    const int64_t at = pixel * outputs + first, added = beside * outputs + first, valid = outputs - first;
    if (valid >= VL) {
      if (residual) v = v + widened(residual + added);
      if (relu) v = v < vec{} ? vec{} : v;
      return narrow(v, output + at);
    }
    for (int lane = 0; lane < valid; ++lane) {
      float x = residual ? v[lane] + widen(residual[added + lane]) : v[lane];
      narrow(relu && x < 0 ? 0.f : x, output + at + lane);
    }
  }
};

struct Product {
  int64_t pixels, depth, panel, first_depth;
  bool begins, ends;
};

template <int MR, int NV, class T, class P>
void product_panel(const Job& job, const Tile& tile, const Product& size, int64_t output, const P* rings,
                   float* sums) {
  const int64_t padded = (job.outputs + VL - 1) / VL * VL;
  const P* weight = static_cast<const P*>(job.weight) + output / VL * size.panel + size.first_depth * VL;
  const int64_t out_width = job.width + 2 * job.padding - job.kernel + 1;
  const int64_t out_height = job.height + 2 * job.padding - job.kernel + 1;
  const int64_t first_pixel = (tile.image * out_height + tile.top) * out_width + tile.left;
  const Window beside = job.residual_window.height ? job.residual_window : Window{out_height, out_width, 0, 0};
  const int64_t first_beside =
      (tile.image * beside.height + beside.top + tile.top) * beside.width + beside.left + tile.left;
  const Sink<T> sink(job);
  for (int64_t m = 0; m < size.pixels; m += MR) {
    const int rows = int(std::min<int64_t>(MR, size.pixels - m));
    vec acc[MR][NV];
    for (int r = 0; r < MR; ++r)
      for (int v = 0; v < NV; ++v)
        acc[r][v] = load(size.begins ? job.bias + output + v * VL : sums + (m + r) * padded + output + v * VL);
    multiply<MR, NV>(rings + m * ROW<P>, weight, size.panel, size.depth, acc);
    if (!size.ends) {
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < NV; ++v) store(sums + (m + r) * padded + output + v * VL, acc[r][v]);
      continue;
    }
    int64_t y = m / tile.cols, x = m % tile.cols;
    for (int r = 0; r < rows; ++r) {
      const int64_t pixel = first_pixel + y * out_width + x, added = first_beside + y * beside.width + x;
      for (int v = 0; v < NV; ++v) sink.put(acc[r][v], pixel, added, output + v * VL);
      if (++x == tile.cols) x = 0, ++y;
    }
  }
}

template <class T, class P>
void product(const Job& job, const Tile& tile, const Product& size, const P* rings, float* sums) {
  const int64_t padded = (job.outputs + VL - 1) / VL * VL;
  int64_t output = 0;
  for (; output + 2 * VL <= padded; output += 2 * VL)
    product_panel<MR2, 2, T>(job, tile, size, output, rings, sums);
  if (output < padded) product_panel<MR1, 1, T>(job, tile, size, output, rings, sums);
}

// ---- a tile, and all of them -----------------------------------------------------------------------------

// Memory of one thread, kept between calls and aligned to cache lines: a vector that crosses two costs two loads.
template <class P>
class Aligned {
  std::vector<P> memory;

 public:
  P* fit(int64_t count) {
    if (int64_t(memory.size()) < count + 64) memory.assign(size_t(count + 64), P{});
    return reinterpret_cast<P*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  }
};

template <class P>
struct Scratch {
  Aligned<float> block, sums;
  Aligned<P> rings;
};

template <int K, int CB, class T, class P>
void run_tile(const Job& job, const Tile& tile, Scratch<P>& scratch) {
  const int64_t blocks = (job.channels + CB - 1) / CB, per_block = job.rings * CB;
  const int64_t pixels = int64_t(tile.rows) * tile.cols, padded = (job.outputs + VL - 1) / VL * VL;
  const int64_t chunk = std::min<int64_t>(ROW<P> / per_block, blocks);
  float* const block = scratch.block.fit((ROWS + K) * Taps<K, CB>::row + 4 * VL);
  P* const rings = scratch.rings.fit((ROWS * TILE + 64) * ROW<P>);
  float* const sums = scratch.sums.fit((ROWS * TILE + 64) * padded);
  for (int64_t first = 0; first < blocks; first += chunk) {
    const int64_t count = std::min(chunk, blocks - first);
    for (int64_t b = 0; b < count; ++b) {
      copy_block<K, CB, T>(job, tile, (first + b) * CB, block);
      sum_rings<K, CB, P>(job, tile, block, rings + b * per_block);
    }
    const Product size{pixels, count * per_block, blocks * per_block * VL,
                       first * per_block, first == 0, first + count == blocks};
    product<T>(job, tile, size, rings, sums);
  }
}

// Tiles of the output, top to bottom in every image.
struct Tiling {
  int64_t height, width, across, down, count;
  Tiling(const Job& job, int k)
      : height(job.height + 2 * job.padding - k + 1), width(job.width + 2 * job.padding - k + 1),
        across((width + TILE - 1) / TILE), down((height + ROWS - 1) / ROWS) {
    while (job.batch * across * down < 2 * job.threads && 4 * down < height) down *= 2;
    count = job.batch * across * down;
  }
  Tile at(int64_t t) const {
    const int64_t ty = t / across % down, tx = t % across;
    const int64_t top = height * ty / down, left = width * tx / across;
    return {t / across / down, top, left, int(height * (ty + 1) / down - top),
            int(width * (tx + 1) / across - left)};
  }
};

// Cuts a tile down to the rectangle around its needed pixels; false if it has none.
inline bool cut(const Job& job, Tile& tile) {
  if (!job.needed) return true;
  const int64_t y = tile.top + job.mask.top, x = tile.left + job.mask.left;
  int64_t top = INT64_MAX, left = INT64_MAX, bottom = -1, right = -1;
  for (int64_t row = y / job.cell; row <= (y + tile.rows - 1) / job.cell; ++row)
    for (int64_t col = x / job.cell; col <= (x + tile.cols - 1) / job.cell; ++col)
      if (job.needed[row * job.mask.width + col]) {
        top = std::min(top, row * job.cell), bottom = std::max(bottom, (row + 1) * job.cell);
        left = std::min(left, col * job.cell), right = std::max(right, (col + 1) * job.cell);
      }
  if (bottom < 0) return false;
  top = std::max(top - y, int64_t(0)), left = std::max(left - x, int64_t(0));
  tile.rows = int(std::min<int64_t>(bottom - y, tile.rows) - top);
  tile.cols = int(std::min<int64_t>(right - x, tile.cols) - left);
  tile.top += top, tile.left += left;
  return true;
}

template <int K, int CB, class T, class P>
void run(const Job& job) {
  const Tiling tiling(job, K);
#pragma omp parallel num_threads(int(job.threads))
  {
    static thread_local Scratch<P> scratch;
#pragma omp for schedule(dynamic, 1)
    for (int64_t t = 0; t < tiling.count; ++t) {
      Tile tile = tiling.at(t);
      if (cut(job, tile)) run_tile<K, CB, T, P>(job, tile, scratch);
    }
  }
}

// ---- gradient of the weights -----------------------------------------------------------------------------
//
// Per ring: sum over pixels of (ring of the input) x (gradient of the output); without a mix the rings are the
// orbits, and the sum is the gradient of the value at each radius. The job has the gradient as `output`, and as
// `weight` (threads, blocks, rings, CB, outputs rounded up to VL) float32 zeros, to which it is added. Tiles are
// assigned to threads by number, so that the order of the sums depends only on the number of threads.

template <int MR, int NV>
ALWAYS_INLINE void outer_products(const float* a, const float* b, int64_t pixels, int64_t padded, int64_t rows,
                                  float* out) {
  vec acc[MR][NV] = {};
  for (int64_t px = 0; px < pixels; ++px) {
    vec factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = load(b + px * padded + v * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      vec x = splat(a[px * ROW<float> + r]);
      for (int v = 0; v < NV; ++v) acc[r][v] = fma(x, factor[v], acc[r][v]);
    }
  }
  for (int r = 0; r < std::min<int64_t>(MR, rows); ++r)
    for (int v = 0; v < NV; ++v) {
      float* at = out + r * padded + v * VL;
      store(at, load(at) + acc[r][v]);
    }
}

template <class T>
void copy_gradient(const Job& job, const Tiling& tiling, const Tile& tile, int64_t padded, float* to) {
  const T* image = static_cast<const T*>(job.output) + tile.image * tiling.height * tiling.width * job.outputs;
  for (int y = 0; y < tile.rows; ++y)
    for (int x = 0; x < tile.cols; ++x, to += padded) {
      const T* from = image + ((tile.top + y) * tiling.width + tile.left + x) * job.outputs;
      for (int64_t o = 0; o < job.outputs; ++o) to[o] = widen(from[o]);
      for (int64_t o = job.outputs; o < padded; ++o) to[o] = 0;
    }
}

template <int K, int CB, class T>
void grad_tile(const Job& job, const Tiling& tiling, const Tile& tile, Scratch<float>& scratch, float* total) {
  const int64_t per_block = job.rings * CB;
  const int64_t pixels = int64_t(tile.rows) * tile.cols, padded = (job.outputs + VL - 1) / VL * VL;
  float* const block = scratch.block.fit((ROWS + K) * Taps<K, CB>::row + 4 * VL);
  float* const rings = scratch.rings.fit((ROWS * TILE + 64) * ROW<float>);
  float* const gradient = scratch.sums.fit((ROWS * TILE + 64) * padded);
  copy_gradient<T>(job, tiling, tile, padded, gradient);
  for (int64_t first = 0; first < job.channels; first += CB, total += per_block * padded) {
    copy_block<K, CB, T>(job, tile, first, block);
    sum_rings<K, CB, float>(job, tile, block, rings);
    int64_t o = 0;
    for (; o + 2 * VL <= padded; o += 2 * VL)
      for (int64_t k = 0; k < per_block; k += MR2)
        outer_products<MR2, 2>(rings + k, gradient + o, pixels, padded, per_block - k, total + k * padded + o);
    if (o < padded)
      for (int64_t k = 0; k < per_block; k += MR1)
        outer_products<MR1, 1>(rings + k, gradient + o, pixels, padded, per_block - k, total + k * padded + o);
  }
}

template <int K, int CB, class T>
void grad(const Job& job) {
  const Tiling tiling(job, K);
  const int64_t padded = (job.outputs + VL - 1) / VL * VL;
  const int64_t size = (job.channels + CB - 1) / CB * job.rings * CB * padded;
  float* const totals = static_cast<float*>(const_cast<void*>(job.weight));
#pragma omp parallel for num_threads(int(job.threads)) schedule(static, 1)
  for (int64_t thread = 0; thread < job.threads; ++thread) {
    static thread_local Scratch<float> scratch;
    for (int64_t t = thread; t < tiling.count; t += job.threads)
      grad_tile<K, CB, T>(job, tiling, tiling.at(t), scratch, totals + thread * size);
  }
}

// The same for all vector widths: products are added block by block, so it determines the last bits.
int block_channels(int64_t channels) { return channels <= 4 ? 4 : channels <= 8 ? 8 : 16; }

template <int K, class T, class P>
void run_blocked(const Job& job) {
  switch (block_channels(job.channels)) {
    case 4: return run<K, 4, T, P>(job);
    case 8: return run<K, 8, T, P>(job);
    default: return run<K, 16, T, P>(job);
  }
}

template <int K, class T>
void grad_blocked(const Job& job) {
  switch (block_channels(job.channels)) {
    case 4: return grad<K, 4, T>(job);
    case 8: return grad<K, 8, T>(job);
    default: return grad<K, 16, T>(job);
  }
}

template <class T, class P>
int run_sized(const Job& job) {
  switch (job.kernel) {
    case 1: run_blocked<1, T, P>(job); return 0;
    case 3: run_blocked<3, T, P>(job); return 0;
    case 5: run_blocked<5, T, P>(job); return 0;
    case 7: run_blocked<7, T, P>(job); return 0;
    case 9: run_blocked<9, T, P>(job); return 0;
    case 11: run_blocked<11, T, P>(job); return 0;
  }
  return 1;
}

template <class T>
int grad_sized(const Job& job) {
  switch (job.kernel) {
    case 1: grad_blocked<1, T>(job); return 0;
    case 3: grad_blocked<3, T>(job); return 0;
    case 5: grad_blocked<5, T>(job); return 0;
    case 7: grad_blocked<7, T>(job); return 0;
    case 9: grad_blocked<9, T>(job); return 0;
    case 11: grad_blocked<11, T>(job); return 0;
  }
  return 1;
}

}  // namespace

extern "C" {

int ring_lanes() { return VL; }
int ring_block_channels(int64_t channels) { return block_channels(channels); }
int ring_bf16_products() { return BF16_PRODUCTS; }
int ring_conv_f32(const Job* job) { return run_sized<float, float>(*job); }
#if defined(__AVX512BF16__)
int ring_conv_bf16(const Job* job) { return run_sized<bf16, bf16>(*job); }
#else
int ring_conv_bf16(const Job* job) { return run_sized<bf16, float>(*job); }
#endif
int ring_resample_f32(const Job* job) { return resample<float>(*job), 0; }
int ring_resample_bf16(const Job* job) { return resample<bf16>(*job), 0; }
int ring_grad_f32(const Job* job) { return grad_sized<float>(*job); }
int ring_grad_bf16(const Job* job) { return grad_sized<bf16>(*job); }
}
