// Means of blocks and weighted sums of uint8 pixels, in whole numbers: the bits do not depend on the order.

#include <algorithm>
#include <cstdint>
#include <vector>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

namespace {

template <int SIDE, int BITS>
void means(const uint8_t* in, int64_t in_stride, uint8_t* out, int64_t rows, int64_t columns, int64_t channels) {
    const int64_t width = channels * SIDE * columns;
    std::vector<uint16_t> sums((size_t)width);  // 16 x 16 x 255 fits
    uint16_t* const sum = sums.data();
    for (int64_t y = 0; y < rows; y++, out += columns * channels) {
        const uint8_t* row = in + y * SIDE * in_stride;
        for (int64_t x = 0; x < width; x++) sum[x] = (uint16_t)(row[x] + row[in_stride + x]);
        for (int k = 2; k < SIDE; k++)
            for (int64_t x = 0; x < width; x++) sum[x] = (uint16_t)(sum[x] + row[k * in_stride + x]);
        const auto across = [&](int64_t step) {
            for (int64_t x = 0; x < columns; x++)
                for (int64_t c = 0; c < step; c++) {
                    uint32_t total = 1u << (BITS - 1);
                    for (int k = 0; k < SIDE; k++) total += sum[step * (SIDE * x + k) + c];
                    out[step * x + c] = (uint8_t)(total >> BITS);
                }
        };
        if (channels == 3) across(3);
        else if (channels == 1) across(1);
        else across(channels);
    }
}

}  // namespace

extern "C" {

// Means of blocks of side x side px, halves rounded up; `out` is dense. Returns 0 where the side is not covered.
EXPORT int block_means(const uint8_t* in, int64_t in_stride, uint8_t* out, int64_t rows, int64_t columns, int64_t channels,
                int64_t side) {
    if (side == 2) means<2, 2>(in, in_stride, out, rows, columns, channels);
    else if (side == 4) means<4, 4>(in, in_stride, out, rows, columns, channels);
    else if (side == 8) means<8, 6>(in, in_stride, out, rows, columns, channels);
    else if (side == 16) means<16, 8>(in, in_stride, out, rows, columns, channels);
    else return 0;
    return 1;
}

// Weighted sums along both axes, divided by 2^bits to nearest once and held in 0 to 255; `out` is dense.
// Sample (y, x) takes the px from (first_y[y], first_x[x]) on, taps_y down and taps_x across.
EXPORT void weighted_sums(const uint8_t* in, int64_t in_stride, int64_t in_width, int64_t channels, uint8_t* out,
                   const int64_t* first_y, const int32_t* weight_y, int64_t rows, int64_t taps_y,
                   const int64_t* first_x, const int32_t* weight_x, int64_t columns, int64_t taps_x, int64_t bits) {
    const int64_t width = in_width * channels;
    const int32_t half = bits ? 1 << (bits - 1) : 0;
    std::vector<int32_t> sums((size_t)width);
    int32_t* const sum = sums.data();
    for (int64_t y = 0; y < rows; y++, out += columns * channels) {
        std::fill(sum, sum + width, 0);
        for (int64_t k = 0; k < taps_y; k++) {
            const int32_t weight = weight_y[y * taps_y + k];
            if (!weight) continue;  // such a tap may lie behind the last row
            const uint8_t* row = in + (first_y[y] + k) * in_stride;
            for (int64_t x = 0; x < width; x++) sum[x] += weight * row[x];
        }
        for (int64_t x = 0; x < columns; x++) {
            const int32_t *from = sum + first_x[x] * channels, *weights = weight_x + x * taps_x;
            for (int64_t c = 0; c < channels; c++) {
                int32_t total = half;
                for (int64_t k = 0; k < taps_x; k++) total += weights[k] * from[k * channels + c];
                out[x * channels + c] = (uint8_t)std::min(std::max(total >> bits, 0), 255);
            }
        }
    }
}
}
