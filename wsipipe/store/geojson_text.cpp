// Numbers and polygons as JSON text, with the bytes that Python's json and GEOS give.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

namespace {

// A whole number of units of 10^-digits as decimal without trailing zeros, at least one digit after the point.
char* put_decimal(char* out, int64_t units, bool negative, int digits) {
    char text[24];
    int length = 0;
    uint64_t rest = (uint64_t)(units < 0 ? -units : units);
    while (digits > 1 && rest % 10 == 0) rest /= 10, digits--;
    do {
        text[length++] = (char)('0' + rest % 10);
        rest /= 10;
        if (length == digits) text[length++] = '.';
    } while (rest || length <= digits + 1);
    if (negative) *out++ = '-';
    while (length) *out++ = text[--length];
    return out;
}

// A coordinate, rounded as numpy.round(value, 2) does. Null where it is not finite or very large.
char* put_coordinate(char* out, double value) {
    const double units = std::nearbyint(value * 100.0);
    if (!(std::fabs(units) < 1e15)) return nullptr;
    return put_decimal(out, (int64_t)units, std::signbit(units), 2);
}

// A measurement, rounded as Python's round(value, 4) does: by its exact decimal value.
char* put_measurement(char* out, double value) {
    if (!(std::fabs(value) < 1e10)) return nullptr;
    const double units = value * 1e4, below = std::floor(units), part = units - below;
    if (std::fabs(part - 0.5) > 0.01)  // the product is rounded by far less than this
        return put_decimal(out, (int64_t)below + (part > 0.5), std::signbit(value), 4);
    out += std::snprintf(out, 32, "%.4f", value);
    while (out[-1] == '0' && out[-2] != '.') out--;
    return out;
}

template <class T>
T taken(const uint8_t*& in) {
    T value;
    std::memcpy(&value, in, sizeof value);
    in += sizeof value;
    return value;
}

}  // namespace

extern "C" {

// Coordinates of GeoJSON of little-endian polygons in well-known binary, one after the other; `ends` receives the end
// of each text. Returns 0 for anything else. `out` has room for 4 bytes per byte of `in`, and 64 per polygon.
EXPORT int polygon_texts(const uint8_t* in, const int64_t* offsets, int64_t count, char* out, int64_t* ends) {
    char* const start = out;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *at = in + offsets[i], *const end = in + offsets[i + 1];
        if (end - at < 9 || *at++ != 1 || taken<uint32_t>(at) != 3) return 0;
        const uint32_t rings = taken<uint32_t>(at);
        *out++ = '[';
        for (uint32_t r = 0; r < rings; r++) {
            if (end - at < 4) return 0;
            const int64_t points = taken<uint32_t>(at);
            if (points < 1 || end - at < 16 * points) return 0;
            if (r) *out++ = ',';
            *out++ = '[';
            for (int64_t p = 0; p < points; p++) {
                if (p) *out++ = ',';
                *out++ = '[';
                if (!(out = put_coordinate(out, taken<double>(at)))) return 0;
                *out++ = ',';
                if (!(out = put_coordinate(out, taken<double>(at)))) return 0;
                *out++ = ']';
            }
            *out++ = ']';
        }
        if (at != end) return 0;
        *out++ = ']';
        ends[i] = out - start;
    }
    return 1;
}

// Rows of measurements as `"name":number` with commas between; `keys` has the names with quotes and colon, one after
// the other up to `key_ends`. Returns 0 for a number that is not finite or very large.
EXPORT int measurement_texts(const double* values, const uint8_t* valid, int64_t rows, int64_t columns, const char* keys,
                      const int64_t* key_ends, char* out, int64_t* ends) {
    char* const start = out;
    for (int64_t row = 0; row < rows; row++) {
        bool any = false;
        for (int64_t i = 0; i < columns; i++) {
            if (!valid[row * columns + i]) continue;
            if (any) *out++ = ',';
            any = true;
            const int64_t begin = i ? key_ends[i - 1] : 0, length = key_ends[i] - begin;
            std::memcpy(out, keys + begin, (size_t)length);
            if (!(out = put_measurement(out + length, values[row * columns + i]))) return 0;
        }
        ends[row] = out - start;
    }
    return 1;
}

}  // extern "C"
