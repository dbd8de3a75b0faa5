// Walks over the Huffman codes of a JPEG without decoding pixels, to find out whether its data suffice.
// Decoders fill in what is missing and go on; a slide must not be read like that.
// Source: ITU-T T.81, annex B (markers) and F.2.2 (Huffman decoding).

#include <cstdint>
#include <cstring>
#include <vector>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#include <cstdlib>
#define __builtin_bswap64 _byteswap_uint64
#endif

namespace {

enum Verdict { SOUND = 0, TOO_SHORT = 1, BAD_CODE = 2, NOT_COVERED = 3, NO_END = 4 };

constexpr int LOOK_BITS = 10, RUN_BITS = 12;
constexpr int MOST_SYMBOLS = 64 * 10;  // of one MCU: 10 blocks at most, by the standard
constexpr int PADDING = 4 * MOST_SYMBOLS;  // a symbol takes 31 bits at most: reading past the end stays inside

// What several symbols do whose codes lie within RUN_BITS; bits is 0 where not even one does.
struct Run {
    uint8_t bits, coefficients, before_last, ends_block;
};

struct Table {
    std::vector<uint8_t> source;  // the marker's bytes it was made from; empty before that
    bool known = false;
    uint16_t look[1 << LOOK_BITS];  // bits of code and value << 8 | symbol; 0 where the code is longer
    int32_t last[17];    // largest code of each length, -1 where there is none
    int32_t offset[17];  // index of a code's symbol, less the code
    uint8_t symbols[256];
};

// Runs that begin a block, with its DC value, and those that go on in it.
struct Pair {
    std::vector<uint8_t> source;  // of both tables
    Run first[1 << RUN_BITS], next[1 << RUN_BITS];
};

struct Component {
    int id, across, down, dc, ac;
};

struct Header {
    Table dc[4], ac[4];
    Component parts[4];
    Pair pairs[4];  // of each component
    int count = 0, height = 0, width = 0, interval = 0;
    bool scan = false;
};

// Length of the code at the front of 16 bits, 0 where none fits; sets its symbol.
int code_at(const Table& table, int32_t front, int* symbol) {
    for (int length = 1; length <= 16; length++) {
        const int32_t code = front >> (16 - length);
        if (code > table.last[length]) continue;
        *symbol = table.symbols[(code + table.offset[length]) & 255];
        return length;
    }
    return 0;
}

void fill_looks(Table& table) {
    for (int32_t front = 0; front < 1 << LOOK_BITS; front++) {
        int symbol = 0;
        const int length = code_at(table, front << (16 - LOOK_BITS), &symbol);
        const bool fits = length && length <= LOOK_BITS;
        table.look[front] = fits ? (uint16_t)((length + (symbol & 15)) << 8 | symbol) : 0;
    }
}

// `dc` reads the first symbol; null inside a block.
void fill_runs(Run* runs, const Table* dc, const Table& ac) {
    for (uint32_t front = 0; front < 1u << RUN_BITS; front++) {
        Run run = {0, 0, 0, 0};
        while (!run.ends_block && run.bits < RUN_BITS) {
            const bool opens = dc && !run.bits;
            int symbol = 0;
            const int32_t rest = (int32_t)((front << (16 - RUN_BITS) << run.bits) & 0xFFFF);
            const int length = code_at(opens ? *dc : ac, rest, &symbol);
            if (!length || run.bits + length > RUN_BITS || (opens && symbol > 15)) break;
            run.bits = (uint8_t)(run.bits + length + (symbol & 15));  // the bits of the value are not looked at
            run.before_last = run.coefficients;
            if (opens) run.coefficients = 1;
            else if (!(symbol & 15) && symbol != 0xF0) run.ends_block = 1;
            else run.coefficients = (uint8_t)(run.coefficients + (symbol >> 4) + 1);
        }
        runs[front] = run;
    }
}

void make_pair(Pair& pair, const Table& dc, const Table& ac) {
    std::vector<uint8_t> source(dc.source);
    source.insert(source.end(), ac.source.begin(), ac.source.end());
    if (source == pair.source) return;
    fill_runs(pair.first, &dc, ac);
    fill_runs(pair.next, nullptr, ac);
    pair.source.swap(source);
}

bool make_table(Table& table, const uint8_t* at, int total) {
    if (table.source.size() == (size_t)(16 + total) && !std::memcmp(table.source.data(), at, 16 + total)) return true;
    table.source.clear();
    std::memset(table.symbols, 0, sizeof table.symbols);
    std::memcpy(table.symbols, at + 16, total);
    int32_t code = 0, index = 0;
    for (int length = 1; length <= 16; length++, code <<= 1) {
        const int count = at[length - 1];
        if (code + count > 1 << length) return false;
        table.offset[length] = index - code;
        code += count;
        index += count;
        table.last[length] = count ? code - 1 : -1;
    }
    fill_looks(table);
    table.source.assign(at, at + 16 + total);
    return true;
}

bool read_tables(Header& head, const uint8_t* at, const uint8_t* end) {
    while (end - at >= 17) {
        const int kind = at[0] >> 4, id = at[0] & 15;
        if (kind > 1 || id > 3) return false;
        int total = 0;
        for (int i = 1; i <= 16; i++) total += at[i];
        if (total > 256 || end - at < 17 + total) return false;
        Table& table = (kind ? head.ac : head.dc)[id];
        table.known = make_table(table, at + 1, total);
        if (!table.known) return false;
        at += 17 + total;
    }
    return at == end;
}

bool read_frame(Header& head, const uint8_t* at, const uint8_t* end) {
    if (end - at < 6 || at[0] != 8 || head.count) return false;
    head.height = at[1] << 8 | at[2];
    head.width = at[3] << 8 | at[4];
    head.count = at[5];
    if (!head.height || !head.width || head.count < 1 || head.count > 4) return false;
    if (end - at != 6 + 3 * head.count) return false;
    for (int i = 0; i < head.count; i++) {
        const uint8_t* part = at + 6 + 3 * i;
        head.parts[i] = {part[0], part[1] >> 4, part[1] & 15, 0, 0};
        if (head.parts[i].across < 1 || head.parts[i].across > 4) return false;
        if (head.parts[i].down < 1 || head.parts[i].down > 4) return false;
    }
    return true;
}

bool read_scan(Header& head, const uint8_t* at, const uint8_t* end) {
    if (end - at < 1 || !head.count || at[0] != head.count || end - at != 4 + 2 * head.count) return false;
    for (int i = 0; i < head.count; i++) {
        Component& part = head.parts[i];
        if (at[1 + 2 * i] != part.id) return false;
        part.dc = at[2 + 2 * i] >> 4;
        part.ac = at[2 + 2 * i] & 15;
        if (part.dc > 3 || part.ac > 3 || !head.dc[part.dc].known || !head.ac[part.ac].known) return false;
        make_pair(head.pairs[i], head.dc[part.dc], head.ac[part.ac]);
    }
    const uint8_t* range = end - 3;  // of a sequential scan: all 64 coefficients, whole
    head.scan = range[0] == 0 && range[1] == 63 && range[2] == 0;
    return head.scan;
}

// Reads markers up to the scan or the end; returns where the coded data begin, null where not covered.
const uint8_t* read_markers(Header& head, const uint8_t* at, const uint8_t* end) {
    if (end - at < 2 || at[0] != 0xFF || at[1] != 0xD8) return nullptr;
    at += 2;
    while (!head.scan) {
        if (end - at < 2 || *at != 0xFF) return nullptr;
        while (end - at > 1 && at[1] == 0xFF) at++;
        const int marker = at[1];
        at += 2;
        if (marker == 0xD9) return at;
        if (end - at < 2) return nullptr;
        const int length = at[0] << 8 | at[1];
        if (length < 2 || end - at < length) return nullptr;
        const uint8_t *body = at + 2, *after = at + length;
        bool good = true;
        if (marker == 0xC4) good = read_tables(head, body, after);
        else if (marker == 0xC0 || marker == 0xC1) good = read_frame(head, body, after);
        else if (marker == 0xDA) good = read_scan(head, body, after);
        else if (marker == 0xDD && length == 4) head.interval = body[0] << 8 | body[1];
        else good = marker == 0xDB || marker == 0xFE || (marker >= 0xE0 && marker <= 0xEF);
        if (!good) return nullptr;
        at = after;
    }
    return at;
}

// The bytes of one interval, free of the zeros that follow each 0xFF, and padding.
struct Interval {
    std::vector<uint8_t> bytes;
    int64_t bits;

    // Returns where the marker behind the interval stands, null where there is none.
    const uint8_t* fill(const uint8_t* at, const uint8_t* end) {
        if (bytes.size() < (size_t)(end - at) + PADDING) bytes.resize((size_t)(end - at) + PADDING);
        uint8_t* to = bytes.data();
        const uint8_t* marker = nullptr;
        while (at < end) {
            const uint8_t* stop = (const uint8_t*)std::memchr(at, 0xFF, (size_t)(end - at));
            if (!stop) stop = end;
            std::memcpy(to, at, (size_t)(stop - at));
            to += stop - at;
            at = stop;
            if (end - at < 2) break;
            if (at[1] != 0) {
                while (end - at > 1 && at[1] == 0xFF) at++;
                if (end - at > 1 && at[1] != 0) marker = at;
                break;
            }
            *to++ = 0xFF;
            at += 2;
        }
        std::memset(to, 0, PADDING);
        bits = 8 * (to - bytes.data());
        return marker;
    }
};

// Hands out bits. Small and copied, so that compilers keep it in registers.
struct Bits {
    uint64_t window = 0;  // its highest bits come next
    int held = 0;
    const uint8_t* next;

    inline void refill() {
        uint64_t more;
        std::memcpy(&more, next, 8);
        window |= __builtin_bswap64(more) >> held;
        next += (63 - held) >> 3;
        held |= 56;
    }

    inline void drop(int bits) {
        window <<= bits;
        held -= bits;
    }

    // The next symbol with the bits of its value, -1 where no code fits.
    inline int symbol(const Table& table) {
        if (held < 32) refill();
        const int found = table.look[window >> (64 - LOOK_BITS)];
        if (found) {
            drop(found >> 8);
            return found & 255;
        }
        int value = 0;
        const int length = code_at(table, (int32_t)(window >> 48), &value);
        drop(length + (value & 15));
        return length ? value : -1;
    }
};

// What a block is read with.
struct Codes {
    const Table *dc, *ac;
    const Run *first, *next;
};

inline bool walk_block(Bits& bits, const Codes& codes) {
    const Run* runs = codes.first;
    for (int k = 0; k < 64; runs = codes.next) {
        if (bits.held < 32) bits.refill();
        const Run run = runs[bits.window >> (64 - RUN_BITS)];
        if (run.bits && k + run.before_last < 64) {
            bits.drop(run.bits);
            if (run.ends_block) break;
            k += run.coefficients;
            continue;
        }
        const int value = bits.symbol(k ? *codes.ac : *codes.dc);
        if (value < 0 || (!k && value > 15)) return false;
        if (k && !(value & 15) && value != 0xF0) break;
        k += k ? (value >> 4) + 1 : 1;
    }
    return true;
}

// Walks over some units and says how many bits are left, below 0 where they did not suffice.
Verdict walk(const Header& head, const Interval& interval, int64_t units, int64_t* left) {
    Codes codes[10];
    int blocks = 0;
    for (int i = 0; i < head.count; i++) {
        const Component& part = head.parts[i];
        for (int n = head.count == 1 ? 1 : part.across * part.down; n > 0; n--, blocks++)
            codes[blocks] = {&head.dc[part.dc], &head.ac[part.ac], head.pairs[i].first, head.pairs[i].next};
    }
    Bits bits;
    bits.next = interval.bytes.data();
    const uint8_t* start = bits.next;
    for (int64_t unit = 0; unit < units; unit++) {
        for (int block = 0; block < blocks; block++)
            if (!walk_block(bits, codes[block])) return BAD_CODE;
        *left = interval.bits - (8 * (bits.next - start) - bits.held);
        if (*left < 0) return TOO_SHORT;
    }
    return SOUND;
}

int64_t units_of(const Header& head) {
    int across = 1, down = 1, blocks = 0;
    for (int i = 0; i < head.count && head.count > 1; i++) {
        if (head.parts[i].across > across) across = head.parts[i].across;
        if (head.parts[i].down > down) down = head.parts[i].down;
        blocks += head.parts[i].across * head.parts[i].down;
    }
    if (blocks > 10) return -1;
    return (int64_t)((head.width + 8 * across - 1) / (8 * across)) * ((head.height + 8 * down - 1) / (8 * down));
}

}  // namespace

// A verdict on one JPEG; `tables` is the abbreviated stream that goes before it, or null.
extern "C" EXPORT int jpeg_verdict(const uint8_t* tables, int64_t tables_bytes, const uint8_t* data, int64_t bytes) {
    static thread_local Header head;
    static thread_local Interval interval;
    for (Table& table : head.dc) table.known = false;
    for (Table& table : head.ac) table.known = false;
    head.count = head.height = head.width = head.interval = 0;
    head.scan = false;
    if (tables && (!read_markers(head, tables, tables + tables_bytes) || head.scan || head.count)) return NOT_COVERED;
    head.interval = 0;  // a new image begins without one
    const uint8_t *at = read_markers(head, data, data + bytes), *end = data + bytes;
    if (!at || !head.scan) return NOT_COVERED;
    int64_t left = units_of(head);
    if (left < 0) return NOT_COVERED;
    for (int count = 0; left > 0; count++) {
        const int64_t units = head.interval && head.interval < left ? head.interval : left;
        const uint8_t* marker = interval.fill(at, end);
        int64_t unused = 0;
        const Verdict found = walk(head, interval, units, &unused);
        if (found) return found;
        left -= units;
        if (!marker) return NO_END;
        if (left && (marker[1] != 0xD0 + count % 8 || unused >= 8)) return TOO_SHORT;
        at = marker + 2;
    }
    return SOUND;
}
