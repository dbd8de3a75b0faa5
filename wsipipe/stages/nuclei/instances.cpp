// Seeds, growth and numbers of nuclei in one shard, in whole numbers: the same bits as with NumPy and SciPy.

#include <algorithm>
#include <cstdint>
#include <vector>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

namespace {

struct Components {
    std::vector<int32_t> parent{0};  // of each provisional label; a root is its own parent, and the smallest

    int32_t root(int32_t label) {
        while (parent[label] != label) label = parent[label] = parent[parent[label]];
        return label;
    }

    // Provisional label of a pixel whose upper and left neighbours have labels `up` and `left`, 0 for none.
    int32_t label(int32_t up, int32_t left) {
        if (!up && !left) {
            parent.push_back((int32_t)parent.size());
            return parent.back();
        }
        if (!up || !left || up == left) return std::max(up, left);
        const int32_t a = root(up), b = root(left);
        parent[std::max(a, b)] = std::min(a, b);
        return std::min(a, b);
    }

    // Final labels 1..n in the order of the roots, that is of the first pixels in raster order; returns n.
    int32_t number() {
        std::vector<int32_t> final(parent.size());
        int32_t count = 0;
        for (int32_t i = 1; i < (int32_t)parent.size(); i++) {
            const int32_t top = root(i);
            final[i] = top == i ? ++count : final[top];
        }
        parent.swap(final);
        return count;
    }
};

bool within(uint8_t value, int64_t level, int64_t most) { return value >= level && value <= most; }

}  // namespace

extern "C" {

// Label the 4-connected components of seeds and foreground. `levels`: least nucleus and centre value, largest
// valid value. `labels` receives 1..s for seeds and s + 1.. for other foreground, `held` (same size) the
// foreground label of every pixel, `counts` the numbers of seeds and of foreground components.
EXPORT void label_seeds(const uint8_t* nucleus, const uint8_t* centre, int64_t height, int64_t width, const int64_t* levels,
                 uint32_t* labels, int32_t* held, int64_t* counts) {
    Components seeds, foreground;
    std::vector<int32_t> seed((size_t)(height * width));
    for (int64_t y = 0, i = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++, i++) {
            if (!within(nucleus[i], levels[0], levels[2])) {
                held[i] = 0;
                continue;
            }
            held[i] = foreground.label(y ? held[i - width] : 0, x ? held[i - 1] : 0);
            if (within(centre[i], levels[1], levels[2]))
                seed[i] = seeds.label(y ? seed[i - width] : 0, x ? seed[i - 1] : 0);
        }
    counts[0] = seeds.number();
    counts[1] = foreground.number();
    for (int64_t i = 0; i < height * width; i++) {
        held[i] = held[i] ? foreground.parent[held[i]] + (int32_t)counts[0] : 0;
        labels[i] = (uint32_t)(seed[i] ? seeds.parent[seed[i]] : held[i]);
    }
}

// Sums by label, for the outputs of label_seeds. `holder` is the foreground label of each label.
EXPORT void sum_seeds(const uint8_t* nucleus, const uint8_t* centre, int64_t size, const uint32_t* labels, const int32_t* held,
               int64_t* area, int64_t* nucleus_sum, int64_t* centre_sum, int64_t* holder) {
    for (int64_t i = 0; i < size; i++) {
        const uint32_t label = labels[i];
        if (!label) continue;
        area[label]++;
        nucleus_sum[label] += nucleus[i];
        centre_sum[label] += centre[i];
        holder[label] = held[i];
    }
}

// out = table[in], pixel by pixel. Returns 0 where a value lies outside the table.
EXPORT int look_up(const uint32_t* table, int64_t size, const uint32_t* in, int64_t in_width, uint32_t* out, int64_t out_width,
            int64_t height, int64_t width) {
    for (int64_t y = 0; y < height; y++, in += in_width, out += out_width)
        for (int64_t x = 0; x < width; x++) {
            if (in[x] >= (uint64_t)size) return 0;
            out[x] = table[in[x]];
        }
    return 1;
}

// Grow labels into free pixels, `steps` times by 4 neighbours. Both arrays have a border of one pixel that is
// neither labelled nor free. A pixel goes to the label of highest rank; two labels of that rank leave it 0.
EXPORT void grow(uint32_t* labels, uint8_t* free, int64_t height, int64_t width, const int64_t* ranks, int64_t steps) {
    const int64_t around[4] = {-width, -1, 1, width};
    std::vector<int64_t> front, reached;
    std::vector<uint32_t> winners;
    const auto take = [&](int64_t at) {
        for (const int64_t step : around)
            if (free[at + step]) {
                free[at + step] = 0;
                reached.push_back(at + step);
            }
    };
    for (int64_t i = width; i < (height - 1) * width; i++)
        if (labels[i]) take(i);
    for (int64_t step = 0; step < steps && !reached.empty(); step++) {
        winners.clear();
        for (const int64_t at : reached) {
            int64_t best = -1;
            uint32_t winner = 0;
            bool tied = false;
            for (const int64_t beside : around) {
                const uint32_t label = labels[at + beside];
                if (ranks[label] < best) continue;
                tied = ranks[label] == best && (tied || label != winner);
                best = ranks[label];
                winner = label;
            }
            winners.push_back(tied ? 0 : winner);
        }
        front.clear();
        for (size_t i = 0; i < reached.size(); i++)
            if ((labels[reached[i]] = winners[i])) front.push_back(reached[i]);
        reached.clear();
        for (const int64_t at : front) take(at);
    }
}

// Sums and bounds by label of a core whose rows lie `stride` apart; `numbers` gives the value of `out` by label.
// first and last are places in the core; first_x and bounds follow from them.
EXPORT void sum_grown(const uint32_t* labels, int64_t stride, const uint8_t* nucleus, int64_t height, int64_t width,
               const uint32_t* numbers, uint32_t* out, int64_t* area, int64_t* nucleus_sum, int64_t* first,
               int64_t* last, int64_t* min_x, int64_t* max_x) {
    for (int64_t y = 0, i = 0; y < height; y++, labels += stride)
        for (int64_t x = 0; x < width; x++, i++) {
            const uint32_t label = labels[x];
            out[i] = numbers[label];
            if (!label) continue;
            if (!area[label]++) first[label] = i;
            last[label] = i;
            nucleus_sum[label] += nucleus[i];
            min_x[label] = std::min(min_x[label], x);
            max_x[label] = std::max(max_x[label], x);
        }
}

}  // extern "C"
