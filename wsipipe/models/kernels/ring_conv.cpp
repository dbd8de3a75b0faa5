// Ring convolution of channels-last features: ring sums that stay in cache, then a matrix product.
//
// A tile of pixels with its halo is copied, a block of channels at a time, into a zero-padded float32 block; on the
// way it may be pooled or up-sampled, or come from two inputs, channel after channel. Then some rows of the tile
// at a time, so that all of it stays in the first cache: stage 1 adds the taps of each orbit (cells at one distance)
// and mixes the orbits to rings; stage 2 multiplies the rings by the packed weights and adds to the sums of the tile.
// After the last block a residual and ReLU are applied and the rows are written. The vectors are GCC vector
// extensions, so one source serves AVX-512, AVX2 and all other machines.
//
// Every sum has the same order in all orientations of the input: an orbit is added along the subgroups
// point mirror < quarter turns < all eight, so that rotated input only swaps the operands of an addition,
// and every pixel's matrix product runs over rings and channels in the same order. That order does not depend on
// the width of the vectors either, so float32 results are bitwise identical on every processor with FMA.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
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
constexpr int GROUP_PX = 48;  // px whose rings are held at once, in the first cache: rows of a tile
constexpr int64_t SUM_BYTES = 1 << 17;  // of the sums of a tile, which shall stay in the second cache
constexpr int CHUNK_CHANNELS = 320;  // of a kernel of one cell, which are multiplied at once

typedef float vec __attribute__((vector_size(VL * 4)));
typedef float vec_at __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint16_t bf16;

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

// Numbers from one pixel's rings to the next: an odd number of cache lines, which avoids set conflicts.
template <int K, int CB, class P>
constexpr int64_t PITCH =
    (((K == 1 ? CHUNK_CHANNELS : Orbits<K>::count * CB) * sizeof(P) + 63) / 64 | 1) * 64 / sizeof(P);

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
template <int K, int CB, class P>
ALWAYS_INLINE void put(vec v, int at, P* rings) {
  rings += at / CB * PITCH<K, CB, P> + at % CB;
  if constexpr (CB >= VL) return narrow(v, rings);
  P lanes[VL];
  narrow(v, lanes);
  for (int px = 0; px < VL / CB; ++px) std::memcpy(rings + px * PITCH<K, CB, P>, lanes + px * CB, CB * sizeof(P));
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
      put<K, CB>(sum, at, rings + job.ring_of[J] * CB);
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
    for (int g = 0; g < GROUP; ++g) put<K, CB>(acc[i][g], g * VL, out + i * CB);
}

// Rings of the rows [first, end) of a tile.
template <int K, int CB, class P>
void sum_rings(const Job& job, const Tile& tile, int first, int end, const float* block, P* rings) {
  constexpr int px = GROUP * VL / CB, N = K / 2 + 1;
  for (int y = first; y < end; ++y)
    for (int x = 0; x < tile.cols; x += px) {
      const float* centre = block + (y + K / 2) * Taps<K, CB>::row + (x + K / 2) * CB;
      P* out = rings + (int64_t(y - first) * tile.cols + x) * PITCH<K, CB, P>;
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
  ALWAYS_INLINE const T* row(int64_t y) const { return data + y * width * channels; }
};

// The one or two rows of an input of which a row that a layer reads is made.
template <class T>
struct InputRows {
  const T *near, *far;
  InputRows(const LayerInput<T>& from, int64_t y) {
    if (from.scale < 0) y *= 2;
    y += from.top;
    const int64_t beside = from.scale < 0 ? y + 1 : from.scale > 0 ? (y >> 1) + (y & 1) * 2 - 1 : y;
    near = from.row(from.scale > 0 ? y >> 1 : y);
    far = from.row(std::clamp<int64_t>(beside, 0, from.height - 1));
  }
};

template <class V, class T>
ALWAYS_INLINE V read(const T* from) {
  if constexpr (sizeof(V) == sizeof(vec)) return widened(from);
  else return widen(*from);
}

// Mean of 2x2 px; bilinear by pixel centres: (9 near + 3 (beside + above) + far) / 16, edges repeated. Diagonals
// and beside + above are added first, so that rotated input only swaps operands.
template <int SCALE, class V, class T>
ALWAYS_INLINE V pixel(const LayerInput<T>& from, const InputRows<T>& rows, int64_t x, int64_t c) {
  if constexpr (SCALE == 0) {
    return read<V>(rows.near + (x + from.left) * from.channels + c);
  } else if constexpr (SCALE < 0) {
    const int64_t left = (2 * x + from.left) * from.channels + c, right = left + from.channels;
    const V falling = read<V>(rows.near + left) + read<V>(rows.far + right);
    return (falling + (read<V>(rows.near + right) + read<V>(rows.far + left))) * 0.25f;
  } else {
    x += from.left;
    const int64_t near = (x >> 1) * from.channels + c;
    const int64_t far = std::clamp<int64_t>((x >> 1) + (x & 1) * 2 - 1, 0, from.width - 1) * from.channels + c;
    const V sides = read<V>(rows.near + far) + read<V>(rows.far + near);
    return (read<V>(rows.near + near) * 9.f + sides * 3.f + read<V>(rows.far + far)) * 0.0625f;
  }
}

// Resamples the input to the size that a layer reads, (B, H, W, C), as copy_rows does.
template <int SCALE, class T>
void resample(const Job& job) {
  const int64_t rows = job.batch * job.height, vectors = job.channels / VL * VL;
#pragma omp parallel for num_threads(int(job.threads)) schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const LayerInput<T> source(job, row / job.height, 0);
    const InputRows<T> from(source, row % job.height);
    T* out = static_cast<T*>(job.output) + row * job.width * job.channels;
    for (int64_t x = 0; x < job.width; ++x, out += job.channels) {
      for (int64_t c = 0; c < vectors; c += VL) narrow(pixel<SCALE, vec>(source, from, x, c), out + c);
      for (int64_t c = vectors; c < job.channels; ++c) narrow(pixel<SCALE, float>(source, from, x, c), out + c);
    }
  }
}

template <class T>
int resample_scaled(const Job& job) {
  if (job.scale < 0) resample<-1, T>(job);
  else if (job.scale > 0) resample<1, T>(job);
  else resample<0, T>(job);
  return 0;
}

// Pixels [begin, end) of a row, CB channels each, `pitch` numbers apart; `from_x` is the first in the input.
template <int CB, int SCALE, class T, class Q>
ALWAYS_INLINE void copy_row(const LayerInput<T>& source, const InputRows<T>& rows, int64_t from_x, int begin, int end,
                            int64_t pitch, Q* row) {
  const int valid = int(std::min<int64_t>(CB, source.channels - source.first));
  int x = begin;
  if (CB % VL == 0 && valid == CB)
    for (; x < end; ++x)
      for (int c = 0; c < CB; c += VL)
        narrow(pixel<SCALE, vec>(source, rows, from_x + x, c), row + x * pitch + c);
  if constexpr (CB == 4 && SCALE == 0)
    if (valid == 3)  // RGB: the next pixel's first number is read too, so not for the last pixel
      for (; x + 1 < end; ++x) {
        const T* rgb = rows.near + (from_x + x + source.left) * 3;
        T four[4];
        std::memcpy(four, rgb, sizeof(four));
        for (int c = 0; c < 4; ++c) narrow(c < 3 ? widen(four[c]) : 0.f, row + x * pitch + c);
      }
  for (; x < end; ++x)
    for (int c = 0; c < CB; ++c)
      narrow(c < valid ? pixel<SCALE, float>(source, rows, from_x + x, c) : 0.f, row + x * pitch + c);
}

// Asks for the pixels of a row of the input before they are read.
template <class T>
ALWAYS_INLINE void prefetch_row(const LayerInput<T>& source, int64_t y, int64_t x, int cols) {
  const InputRows<T> rows(source, y);
  const int64_t scale = source.scale;
  const int64_t first = scale > 0 ? (x + source.left) >> 1 : scale < 0 ? 2 * x + source.left : x + source.left;
  const int64_t count = (scale > 0 ? cols / 2 + 1 : scale < 0 ? 2 * cols : cols) * source.channels * int64_t(sizeof(T));
  const int64_t step = std::max<int64_t>(64, source.channels * int64_t(sizeof(T)));
  const char* near = reinterpret_cast<const char*>(rows.near + first * source.channels);
  const char* far = reinterpret_cast<const char*>(rows.far + first * source.channels);
  for (int64_t at = 0; at < count; at += step) {
    __builtin_prefetch(near + at);
    if (scale < 0) __builtin_prefetch(far + at);
  }
}

// Rows [first, end) of a tile with its halo, zeros beyond the input.
template <int K, int CB, class T>
void copy_rows(const Job& job, const Tile& tile, const LayerInput<T>& source, int first, int end, float* block) {
  const int cols = tile.cols + K - 1;
  const int64_t from_x = tile.left - job.padding;
  const int begin = int(std::clamp<int64_t>(-from_x, 0, cols));
  const int stop = int(std::clamp<int64_t>(job.width - from_x, begin, cols));
  for (int y = first; y < end; ++y) {
    float* row = block + y * Taps<K, CB>::row;
    const int64_t from_y = tile.top + y - job.padding;
    if (from_y < 0 || from_y >= job.height) {
      std::memset(row, 0, size_t(cols) * CB * 4);
      continue;
    }
    std::memset(row, 0, size_t(begin) * CB * 4);
    std::memset(row + stop * CB, 0, size_t(cols - stop) * CB * 4);
    const InputRows<T> rows(source, from_y);
    if (source.scale < 0) copy_row<CB, -1>(source, rows, from_x, begin, stop, CB, row);
    else if (source.scale > 0) copy_row<CB, 1>(source, rows, from_x, begin, stop, CB, row);
    else copy_row<CB, 0>(source, rows, from_x, begin, stop, CB, row);
  }
}

template <int K, class T>
void prefetch_rows(const Job& job, const Tile& tile, const LayerInput<T>& source, int first, int end) {
  const int64_t left = std::clamp<int64_t>(tile.left - job.padding, 0, job.width - 1);
  const int64_t right = std::min<int64_t>(tile.left - job.padding + tile.cols + K - 1, job.width);
  for (int y = first; y < end; ++y) {
    const int64_t from_y = tile.top + y - job.padding;
    if (from_y >= 0 && from_y < job.height) prefetch_row(source, from_y, left, int(right - left));
  }
}

// Rows [first, end) of a tile of a kernel of one cell, a pixel after the other.
template <int CB, class T, class P>
void copy_pixels(const Job& job, const Tile& tile, const LayerInput<T>& source, int first, int end, P* to) {
  constexpr int64_t pitch = PITCH<1, CB, P>;
  for (int y = first; y < end; ++y, to += tile.cols * pitch) {
    const int64_t from_y = tile.top + y - job.padding, from_x = tile.left - job.padding;
    const InputRows<T> rows(source, std::clamp<int64_t>(from_y, 0, job.height - 1));
    const int begin = int(std::clamp<int64_t>(-from_x, 0, tile.cols));
    const int stop = int(std::clamp<int64_t>(job.width - from_x, begin, tile.cols));
    const bool inside = from_y >= 0 && from_y < job.height;
    for (int x = 0; x < tile.cols; ++x)
      if (!inside || x < begin || x >= stop) std::memset(to + x * pitch, 0, CB * sizeof(P));
    if (!inside) continue;
    if (source.scale < 0) copy_row<CB, -1>(source, rows, from_x, begin, stop, pitch, to);
    else if (source.scale > 0) copy_row<CB, 1>(source, rows, from_x, begin, stop, pitch, to);
    else copy_row<CB, 0>(source, rows, from_x, begin, stop, pitch, to);
  }
}

// ---- stage 2: matrix product -----------------------------------------------------------------------------

template <int64_t ROW, int MR, int NV>
ALWAYS_INLINE void multiply(const float* a, const float* b, int64_t panel, int64_t depth,
                     vec (&acc)[MR][NV]) {
  for (int64_t k = 0; k < depth; ++k) {
    vec factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = load(b + v * panel + k * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      vec x = splat(a[r * ROW + k]);
      for (int v = 0; v < NV; ++v) acc[r][v] = fma(x, factor[v], acc[r][v]);
    }
  }
}

#if defined(__AVX512BF16__)
template <int64_t ROW, int MR, int NV>
ALWAYS_INLINE void multiply(const bf16* a, const bf16* b, int64_t panel, int64_t depth,
                     vec (&acc)[MR][NV]) {
  for (int64_t k = 0; k < depth; k += 2) {
    __m512bh factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = (__m512bh)_mm512_loadu_si512(b + v * panel + k * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      int32_t pair;
      std::memcpy(&pair, a + r * ROW + k, 4);
      __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
      for (int v = 0; v < NV; ++v)
        acc[r][v] = (vec)_mm512_dpbf16_ps((__m512)acc[r][v], x, factor[v]);
    }
  }
}
#endif

// Rings of `pixels` px by the weights of some blocks, added to the sums (px, outputs rounded up to VL).
struct Product {
  int64_t pixels, depth, panel, first_depth;
  bool begins;
};

template <int64_t ROW, int MR, int NV, class P>
void product_panel(const Job& job, const Product& size, int64_t output, const P* rings, float* sums) {
  const int64_t padded = (job.outputs + VL - 1) / VL * VL;
  const P* weight = static_cast<const P*>(job.weight) + output / VL * size.panel + size.first_depth * VL;
  float* to = sums + output;
  for (int64_t m = 0; m < size.pixels; m += MR, to += MR * padded) {
    const int64_t rows = size.pixels - m;
    vec acc[MR][NV];
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r)
      for (int v = 0; v < NV; ++v)
        acc[r][v] = load(size.begins ? job.bias + output + v * VL : to + (r < rows ? r : 0) * padded + v * VL);
    multiply<ROW>(rings + m * ROW, weight, size.panel, size.depth, acc);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r)
      if (r < rows)
        for (int v = 0; v < NV; ++v) store(to + r * padded + v * VL, acc[r][v]);
  }
}

template <int64_t ROW, class P>
void product(const Job& job, const Product& size, const P* rings, float* sums) {
  const int64_t padded = (job.outputs + VL - 1) / VL * VL;
  int64_t output = 0;
  for (; output + 2 * VL <= padded; output += 2 * VL)
    product_panel<ROW, MR2, 2>(job, size, output, rings, sums);
  if (output < padded) product_panel<ROW, MR1, 1>(job, size, output, rings, sums);
}

// Adds the residual to the sums, applies ReLU (NaN stays NaN), and writes rows [first, end) of a tile.
template <class T>
void write_rows(const Job& job, const Tile& tile, int first, int end, const float* sums) {
  const int64_t padded = (job.outputs + VL - 1) / VL * VL, outputs = job.outputs;
  const int64_t width = job.width + 2 * job.padding - job.kernel + 1;
  const int64_t height = job.height + 2 * job.padding - job.kernel + 1;
  const Window beside = job.residual_window.height ? job.residual_window : Window{height, width, 0, 0};
  // A row is one run of numbers if no output is padded.
  const int64_t run = padded == outputs ? tile.cols * outputs : outputs, runs = tile.cols * outputs / run;
  const bool relu = job.relu;
  for (int y = first; y < end; ++y) {
    const int64_t pixel = (tile.image * height + tile.top + y) * width + tile.left;
    const int64_t beside_y = tile.image * beside.height + beside.top + tile.top + y;
    const int64_t added = beside_y * beside.width + beside.left + tile.left;
    T* out = static_cast<T*>(job.output) + pixel * outputs;
    const T* residual = job.residual ? static_cast<const T*>(job.residual) + added * outputs : nullptr;
    for (int64_t r = 0; r < runs; ++r, out += run, sums += padded * tile.cols / runs) {
      int64_t i = 0;
      for (; i + VL <= run; i += VL) {
        vec v = load(sums + i);
        if (residual) v = v + widened(residual + i);
        if (relu) v = v < vec{} ? vec{} : v;
        narrow(v, out + i);
      }
      for (; i < run; ++i) {
        const float x = residual ? sums[i] + widen(residual[i]) : sums[i];
        narrow(relu && x < 0 ? 0.f : x, out + i);
      }
      if (residual) residual += run;
    }
  }
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

inline int group_rows(const Tile& tile) { return std::max(1, GROUP_PX / tile.cols); }

// A kernel of one cell: the pixels are their own rings.
template <int CB, class T, class P>
void run_pixels(const Job& job, const Tile& tile, Scratch<P>& scratch) {
  constexpr int64_t pitch = PITCH<1, CB, P>, chunk = CHUNK_CHANNELS / CB;
  const int64_t blocks = (job.channels + CB - 1) / CB, padded = (job.outputs + VL - 1) / VL * VL;
  P* const rings = scratch.rings.fit((GROUP_PX + 64) * pitch);
  float* const sums = scratch.sums.fit((GROUP_PX + 64) * padded);
  const int rows = group_rows(tile);
  for (int y = 0; y < tile.rows; y += rows) {
    const int end = std::min(y + rows, tile.rows);
    for (int64_t first = 0; first < blocks; first += chunk) {
      const int64_t count = std::min(chunk, blocks - first);
      for (int64_t b = 0; b < count; ++b) {
        const LayerInput<T> source(job, tile.image, (first + b) * CB);
        copy_pixels<CB>(job, tile, source, y, end, rings + b * CB);
      }
      const Product size{int64_t(end - y) * tile.cols, count * CB, blocks * CB * VL, first * CB, first == 0};
      product<pitch>(job, size, rings, sums);
    }
    write_rows<T>(job, tile, y, end, sums);
  }
}

template <int K, int CB, class T, class P>
void run_tile(const Job& job, const Tile& tile, Scratch<P>& scratch) {
  if constexpr (K == 1) return run_pixels<CB, T>(job, tile, scratch);
  constexpr int64_t pitch = PITCH<K, CB, P>;
  const int64_t blocks = (job.channels + CB - 1) / CB, per_block = job.rings * CB;
  const int64_t pixels = int64_t(tile.rows) * tile.cols, padded = (job.outputs + VL - 1) / VL * VL;
  float* const block = scratch.block.fit((ROWS + K) * Taps<K, CB>::row + 4 * VL);
  P* const rings = scratch.rings.fit((GROUP_PX + 64) * pitch);
  float* const sums = scratch.sums.fit((pixels + 64) * padded);
  const int rows = group_rows(tile);
  for (int64_t b = 0; b < blocks; ++b) {
    const LayerInput<T> source(job, tile.image, b * CB);
    int copied = 0;
    for (int y = 0; y < tile.rows; y += rows) {
      const int end = std::min(y + rows, tile.rows);
      copy_rows<K, CB>(job, tile, source, copied, end + K - 1, block);
      copied = end + K - 1;
      prefetch_rows<K>(job, tile, source, copied, std::min(copied + rows, tile.rows + K - 1));
      sum_rings<K, CB>(job, tile, y, end, block, rings);
      float* const group = sums + int64_t(y) * tile.cols * padded;
      const Product size{int64_t(end - y) * tile.cols, per_block, blocks * per_block * VL, b * per_block, b == 0};
      product<pitch>(job, size, rings, group);
      if (b + 1 == blocks) write_rows<T>(job, tile, y, end, group);
    }
  }
}

// Tiles of the output, top to bottom in every image.
struct Tiling {
  int64_t height, width, across, down, count;
  Tiling(const Job& job, int k)
      : height(job.height + 2 * job.padding - k + 1), width(job.width + 2 * job.padding - k + 1),
        across((width + TILE - 1) / TILE) {
    const int64_t padded = (job.outputs + VL - 1) / VL * VL;
    const int64_t rows = std::clamp<int64_t>(SUM_BYTES / (TILE * padded * 4), 8, ROWS);
    down = (height + rows - 1) / rows;
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

template <int64_t ROW, int MR, int NV>
ALWAYS_INLINE void outer_products(const float* a, const float* b, int64_t pixels, int64_t padded, int64_t rows,
                                  float* out) {
  vec acc[MR][NV] = {};
  for (int64_t px = 0; px < pixels; ++px) {
    vec factor[NV];
    for (int v = 0; v < NV; ++v) factor[v] = load(b + px * padded + v * VL);
#pragma GCC unroll 24
    for (int r = 0; r < MR; ++r) {
      vec x = splat(a[px * ROW + r]);
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
  constexpr int64_t pitch = PITCH<K, CB, float>;
  const int64_t per_block = job.rings * CB;
  const int64_t pixels = int64_t(tile.rows) * tile.cols, padded = (job.outputs + VL - 1) / VL * VL;
  float* const block = scratch.block.fit((ROWS + K) * Taps<K, CB>::row + 4 * VL);
  float* const rings = scratch.rings.fit((ROWS * TILE + 64) * pitch);
  float* const gradient = scratch.sums.fit((ROWS * TILE + 64) * padded);
  copy_gradient<T>(job, tiling, tile, padded, gradient);
  for (int64_t first = 0; first < job.channels; first += CB, total += per_block * padded) {
    copy_rows<K, CB>(job, tile, LayerInput<T>(job, tile.image, first), 0, tile.rows + K - 1, block);
    sum_rings<K, CB>(job, tile, 0, tile.rows, block, rings);
    int64_t o = 0;
    for (; o + 2 * VL <= padded; o += 2 * VL)
      for (int64_t k = 0; k < per_block; k += MR2)
        outer_products<pitch, MR2, 2>(rings + k, gradient + o, pixels, padded, per_block - k, total + k * padded + o);
    if (o < padded)
      for (int64_t k = 0; k < per_block; k += MR1)
        outer_products<pitch, MR1, 1>(rings + k, gradient + o, pixels, padded, per_block - k, total + k * padded + o);
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

EXPORT int ring_lanes() { return VL; }
EXPORT int ring_block_channels(int64_t channels) { return block_channels(channels); }
EXPORT int ring_bf16_products() { return BF16_PRODUCTS; }
EXPORT int ring_conv_f32(const Job* job) { return run_sized<float, float>(*job); }
#if defined(__AVX512BF16__)
EXPORT int ring_conv_bf16(const Job* job) { return run_sized<bf16, bf16>(*job); }
#else
EXPORT int ring_conv_bf16(const Job* job) { return run_sized<bf16, float>(*job); }
#endif
EXPORT int ring_resample_f32(const Job* job) { return resample_scaled<float>(*job); }
EXPORT int ring_resample_bf16(const Job* job) { return resample_scaled<bf16>(*job); }
EXPORT int ring_grad_f32(const Job* job) { return grad_sized<float>(*job); }
EXPORT int ring_grad_bf16(const Job* job) { return grad_sized<bf16>(*job); }
}
