// Outlines, moments, colours and texture of labels, in whole numbers: the same bits as with NumPy and GEOS.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

namespace {

// Up, right, down, left.
const int SIDES_Y[4] = {-1, 0, 1, 0}, SIDES_X[4] = {0, 1, 0, -1};

using Point = std::pair<int64_t, int64_t>;

// Twice the signed area of a ring that is not closed.
int64_t twice_area(const std::vector<Point>& ring) {
    int64_t total = 0;
    for (size_t i = 0, last = ring.size() - 1; i < ring.size(); last = i++)
        total += ring[last].first * ring[i].second - ring[i].first * ring[last].second;
    return total;
}

int64_t turn(const Point& a, const Point& b, const Point& c) {
    return (b.first - a.first) * (c.second - a.second) - (b.second - a.second) * (c.first - a.first);
}

// Convex hull by monotone chains (Andrew 1979); sorts the points.
std::vector<Point> hull_of(std::vector<Point>& points) {
    std::sort(points.begin(), points.end());
    std::vector<Point> hull;
    for (int pass = 0; pass < 2; pass++) {
        const size_t start = hull.size();
        for (const Point& point : points) {
            while (hull.size() >= start + 2 && turn(hull[hull.size() - 2], hull.back(), point) <= 0) hull.pop_back();
            hull.push_back(point);
        }
        hull.pop_back();
        std::reverse(points.begin(), points.end());
    }
    return hull;
}

}  // namespace

extern "C" {

// out = table[in - first] where that is inside the table, else 0.
EXPORT void own_labels(const int32_t* table, int64_t first, int64_t size, const uint32_t* in, int64_t in_width, int32_t* out,
                int64_t height, int64_t width) {
    for (int64_t y = 0; y < height; y++, in += in_width, out += width)
        for (int64_t x = 0; x < width; x++) {
            const int64_t at = (int64_t)in[x] - first;
            out[x] = at >= 0 && at < size ? table[at] : 0;
        }
}

// Area and moments of labels 1..count about the smallest y and x of each: rows of `sums` are area, y, x, yy, xx,
// yx, smallest y, smallest x. Returns 0 where a label is larger than count.
EXPORT int moments(const int32_t* labels, int64_t height, int64_t width, int64_t count, int64_t* sums) {
    const int64_t n = count + 1;
    int64_t *area = sums, *sy = sums + n, *sx = sums + 2 * n, *syy = sums + 3 * n, *sxx = sums + 4 * n;
    int64_t *syx = sums + 5 * n, *first_y = sums + 6 * n, *first_x = sums + 7 * n;
    std::vector<int64_t> origin((size_t)n);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t label = labels[y * width + x];
            if (!label) continue;
            if (label < 0 || label > count) return 0;
            if (!area[label]++) {
                first_y[label] = y;
                first_x[label] = origin[(size_t)label] = x;
            }
            const int64_t dy = y - first_y[label], dx = x - origin[(size_t)label];
            first_x[label] = std::min(first_x[label], x);
            sy[label] += dy;
            sx[label] += dx;
            syy[label] += dy * dy;
            sxx[label] += dx * dx;
            syx[label] += dy * dx;
        }
    for (int64_t label = 1; label < n; label++) {
        const int64_t shift = origin[(size_t)label] - first_x[label];
        sxx[label] += shift * (2 * sx[label] + area[label] * shift);
        syx[label] += shift * sy[label];
        sx[label] += area[label] * shift;
    }
    return 1;
}

// Area and sums of RGB by label: rows of `sums` are area, red, green, blue. Returns 0 where a label is too large.
EXPORT int colour_sums(const int32_t* labels, const uint8_t* image, int64_t size, int64_t count, int64_t* sums) {
    for (int64_t i = 0; i < size; i++) {
        const int64_t label = labels[i];
        if (!label) continue;
        if (label < 0 || label > count) return 0;
        sums[label]++;
        for (int c = 0; c < 3; c++) sums[(c + 1) * (count + 1) + label] += image[3 * i + c];
    }
    return 1;
}

// Sums of two densities by label; tables[(dye * 3 + channel) * 256 + value] is the part of a colour value in a density.
// Rows of `sums` are the dyes and the area. Returns 0 where a label is too large.
int density_sums(const int32_t* labels, const uint8_t* image, const int64_t* tables, int64_t size, int64_t count,
                 int64_t* sums) {
    for (int64_t i = 0; i < size; i++, image += 3) {
        const int64_t label = labels[i];
        if (!label) continue;
        if (label < 0 || label > count) return 0;
        for (int64_t dye = 0; dye < 2; dye++) {
            const int64_t* const own = tables + 768 * dye;
            sums[dye * (count + 1) + label] += own[image[0]] + own[256 + image[1]] + own[512 + image[2]];
        }
        sums[2 * (count + 1) + label]++;
    }
    return 1;
}

// Sums of grey levels, (red + 2 green + blue) / 4, by label. A label has 25 sums: area, grey, grey grey; of its pairs
// of pixels that touch (also at a corner): number, squared difference, homogeneity[difference], sum, sum of squares,
// product; then the pixels in each sixteenth of the grey levels. Returns 0 where a label is too large.
int texture_sums(const int32_t* labels, const uint8_t* image, const int64_t* homogeneity, int64_t height, int64_t width,
                 int64_t count, int64_t* sums) {
    std::vector<uint8_t> above((size_t)width), row((size_t)width);
    for (int64_t y = 0; y < height; y++, labels += width, image += 3 * width) {
        for (int64_t x = 0; x < width; x++)
            row[(size_t)x] = (uint8_t)((image[3 * x] + 2 * image[3 * x + 1] + image[3 * x + 2]) >> 2);
        for (int64_t x = 0; x < width; x++) {
            const int64_t label = labels[x];
            if (!label) continue;
            if (label < 0 || label > count) return 0;
            int64_t* const own = sums + 25 * label;
            const int64_t grey = row[(size_t)x];
            own[0]++;
            own[1] += grey;
            own[2] += grey * grey;
            own[9 + grey / 16]++;
            const auto pair = [&](int64_t other) {
                const int64_t difference = grey - other;
                own[3]++;
                own[4] += difference * difference;
                own[5] += homogeneity[std::abs(difference)];
                own[6] += grey + other;
                own[7] += grey * grey + other * other;
                own[8] += grey * other;
            };
            if (x && labels[x - 1] == label) pair(row[(size_t)x - 1]);
            if (!y) continue;
            for (int64_t at = std::max<int64_t>(x - 1, 0); at <= std::min(x + 1, width - 1); at++)
                if (labels[at - width] == label) pair(above[(size_t)at]);
        }
        std::swap(above, row);
    }
    return 1;
}

// Number of pixel sides between a label and another value; `labels` has a border of 0.
EXPORT int64_t count_sides(const int32_t* labels, int64_t height, int64_t width) {
    int64_t count = 0;
    for (int64_t i = width; i < (height - 1) * width; i++)
        if (labels[i])
            count += (labels[i - width] != labels[i]) + (labels[i + 1] != labels[i]) + (labels[i + width] != labels[i]) +
                     (labels[i - 1] != labels[i]);
    return count;
}

// Trace all rings; `labels` has a border of 0, `seen` (same size) is 0. `points` receives (x, y) of the bends in
// half px without the border, `rings` per ring: number of points, label, straight and diagonal sides. Returns the
// number of rings. Both arrays have room for count_sides, and a quarter of it.
EXPORT int64_t trace(const int32_t* labels, uint8_t* seen, int64_t height, int64_t width, int32_t* points, int64_t* rings) {
    int64_t count = 0;
    const int64_t step[4] = {-width, 1, width, -1};
    std::vector<Point> sides;
    for (int64_t start = width; start < (height - 1) * width; start++) {
        const int32_t label = labels[start];
        if (!label) continue;
        for (int first = 0; first < 4; first++) {
            if (seen[start] >> first & 1 || labels[start + step[first]] == label) continue;
            int64_t here = start, straight = 0;
            int side = first;
            sides.clear();
            do {
                seen[here] |= (uint8_t)(1 << side);
                sides.emplace_back(2 * (here % width) - 1 + SIDES_X[side], 2 * (here / width) - 1 + SIDES_Y[side]);
                const int turned = (side + 1) % 4;
                const int64_t ahead = here + step[turned], beyond = ahead + step[side];
                if (labels[ahead] != label) {
                    side = turned;
                } else if (labels[beyond] != label) {
                    here = ahead;
                    straight++;
                } else {
                    here = beyond;
                    side = (side + 3) % 4;
                }
            } while (here != start || side != first);
            const size_t length = sides.size();
            int64_t kept = 0;
            for (size_t i = 0; i < length; i++) {
                const Point &before = sides[i ? i - 1 : length - 1], &at = sides[i], &next = sides[i + 1 < length ? i + 1 : 0];
                if (at.first - before.first == next.first - at.first && at.second - before.second == next.second - at.second)
                    continue;
                *points++ = (int32_t)at.first;
                *points++ = (int32_t)at.second;
                kept++;
            }
            int64_t* const ring = rings + 4 * count++;
            ring[0] = kept;
            ring[1] = label;
            ring[2] = straight;
            ring[3] = (int64_t)length - straight;
        }
    }
    return count;
}

// Per polygon, eight times the area and that of the convex hull. Ring r has the points from starts[r] to starts[r +
// 1]; polygon p the rings from first_ring[p] on, the outer one first.
EXPORT void hull_areas(const int32_t* points, const int64_t* starts, const int64_t* first_ring, int64_t polygons,
                int64_t* area8, int64_t* hull8) {
    std::vector<Point> ring;
    for (int64_t p = 0; p < polygons; p++)
        for (int64_t r = first_ring[p]; r < first_ring[p + 1]; r++) {
            ring.clear();
            for (int64_t i = starts[r]; i < starts[r + 1]; i++) ring.emplace_back(points[2 * i], points[2 * i + 1]);
            const int64_t size = std::abs(twice_area(ring));
            area8[p] += r == first_ring[p] ? size : -size;
            if (r == first_ring[p]) hull8[p] = std::abs(twice_area(hull_of(ring)));
        }
}

// Well-known binary of the polygons, each ring closed; coordinates (x, y) are doubles of this little-endian machine.
EXPORT void write_wkb(const double* points, const int64_t* starts, const int64_t* first_ring, int64_t polygons, uint8_t* out) {
    const auto put = [&](const void* value, size_t size) {
        std::memcpy(out, value, size);
        out += size;
    };
    const auto put_count = [&](int64_t value) {
        const uint32_t count = (uint32_t)value;
        put(&count, 4);
    };
    for (int64_t p = 0; p < polygons; p++) {
        *out++ = 1;
        put_count(3);
        put_count(first_ring[p + 1] - first_ring[p]);
        for (int64_t r = first_ring[p]; r < first_ring[p + 1]; r++) {
            put_count(starts[r + 1] - starts[r] + 1);
            put(points + 2 * starts[r], 16 * (size_t)(starts[r + 1] - starts[r]));
            put(points + 2 * starts[r], 16);
        }
    }
}

}  // extern "C"
