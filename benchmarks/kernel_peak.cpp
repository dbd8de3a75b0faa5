// Multiply-adds and memory traffic of one thread, at the best that this processor can do.

#include <cstdint>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
constexpr int CHAINS = 12;  // independent sums: latency times units, and few enough for the registers

typedef float vec __attribute__((vector_size(LANES * 4)));

extern "C" {

// Returns the number of multiply-adds done in `rounds` rounds.
double multiply_adds(int64_t rounds, float* result) {
  vec sums[CHAINS];
  for (int i = 0; i < CHAINS; ++i) sums[i] = vec{} + float(i);
  vec factor = vec{} + 0.999f, term = vec{} + 0.5f;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; ++i) sums[i] = sums[i] * factor + term;
    asm volatile("" : "+x"(factor), "+x"(term));  // keeps the compiler from leaving rounds out
  }
  vec total = sums[0];
  for (int i = 1; i < CHAINS; ++i) total += sums[i];
  float sum = 0;
  for (int lane = 0; lane < LANES; ++lane) sum += total[lane];
  *result = sum;
  return double(rounds) * CHAINS * LANES;
}

void triad(int64_t count, float* out, const float* a, const float* b) {
  for (int64_t i = 0; i < count; ++i) out[i] = a[i] + 3.f * b[i];
}
}
