// CSR %*% CSR. What is expected of the result decides how rows are added up and how they are stored.
#include <math.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "linalg_product.h"

namespace sm {
namespace {

constexpr int64_t kNear = 1 << 12;   // columns whose sums stay in the first-level cache
constexpr int64_t kScattered = 64;   // beyond that, so many columns for each product make a table of those in use better
constexpr double kFull = 0.45;       // results that are expected to be fuller are made dense

int64_t products_of_row(const sm_matrix* a, const sm_matrix* b, int64_t i) {
    int64_t products = 0;
    for (int64_t p = a->rowptr[i]; p < a->rowptr[i + 1]; p++) products += b->rowptr[a->colidx[p] + 1] - b->rowptr[a->colidx[p]];
    return products;
}

// How many columns of B have non-zeros, and whether none has several.
struct Columns {
    double filled = 0;
    bool single = true;
};

Columns columns_of(const sm_matrix* b) {
    Columns found;
    std::vector<bool> seen(static_cast<size_t>(b->cols));
    for (int64_t p = 0; p < b->nnz; p++) {
        auto c = static_cast<size_t>(b->colidx[p]);
        if (seen[c]) found.single = false;
        else found.filled++;
        seen[c] = true;
    }
    return found;
}

struct Expected {
    double nnz = 0;
    int64_t products = 0;
};

// As the sketches of passes/sparsity, row by row. A row with one factor is exact, and all are where the columns of B have one
// non-zero each; else products fall on the filled columns at random.
Expected expect(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b, const RowBlocks& blocks) {
    std::vector<Expected> parts(static_cast<size_t>(blocks.n));
    std::vector<int64_t> products(static_cast<size_t>(a->rows));
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            int64_t n = products[static_cast<size_t>(i)] = products_of_row(a, b, i);
            parts[static_cast<size_t>(t)].products += n;
        }
    });
    Expected all;
    for (const Expected& part : parts) all.products += part.products;
    // Looking at B must cost little against the product.
    Columns columns{static_cast<double>(b->cols), false};
    if (b->nnz * 8 <= all.products) columns = columns_of(b);
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        double sum = 0;
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            auto n = static_cast<double>(products[static_cast<size_t>(i)]);
            bool exact = columns.single || a->rowptr[i + 1] - a->rowptr[i] <= 1;
            sum += exact ? n : columns.filled * -expm1(-n / columns.filled);
        }
        parts[static_cast<size_t>(t)].nnz = sum;
    });
    for (const Expected& part : parts) all.nnz += part.nnz;
    return all;
}

// Row by row (Gustavson): a dense accumulator, and a bit for each of its cells in use, which also puts columns in order.
struct DenseRow {
    explicit DenseRow(int64_t n) : sums(new double[static_cast<size_t>(n)]), used(static_cast<size_t>(n + 63) / 64) {}
    void expect(int64_t) {}
    void add(int32_t c, double x) {
        uint64_t bit = uint64_t(1) << (c & 63), &word = used[static_cast<size_t>(c >> 6)];
        sums[static_cast<size_t>(c)] = word & bit ? sums[static_cast<size_t>(c)] + x : x;
        if (!word) words.push_back(c >> 6);
        word |= bit;
    }
    // Appends the row's cells that are not zero; returns their number.
    template <class T>
    int64_t drain(int32_t* cols, T* vals) {
        int64_t count = 0;
        auto take = [&](size_t w) {
            for (uint64_t bits = used[w]; bits; bits &= bits - 1) {
                auto c = static_cast<int32_t>(w * 64) + __builtin_ctzll(bits);
                T sum = T(sums[static_cast<size_t>(c)]);
                if (sum == 0) continue;
                cols[count] = c;
                vals[count++] = sum;
            }
            used[w] = 0;
        };
        if (words.size() * 8 > used.size()) {
            for (size_t w = 0; w < used.size(); w++) take(w);
        } else {
            std::sort(words.begin(), words.end());
            for (int32_t w : words) take(static_cast<size_t>(w));
        }
        words.clear();
        return count;
    }
    std::unique_ptr<double[]> sums;
    std::vector<uint64_t> used;
    std::vector<int32_t> words;  // those of `used` that are not 0
};

// Entries by their upper half, a column of `bits` bits. Columns that are spread evenly fall into about as many buckets as there
// are entries, by their highest bits; what is left to put in order is next to its place. Others: byte by byte, from the lowest on.
bool sort_by_buckets(std::vector<uint64_t>& entries, std::vector<uint64_t>& other, int bits) {
    constexpr size_t kMost = 2048;     // entries
    constexpr uint32_t kCrowded = 12;  // in one bucket
    size_t n = entries.size();
    if (n > kMost) return false;
    int digit = std::min(bits, 64 - __builtin_clzll(n)), shift = 32 + bits - digit;
    uint32_t starts[2 * kMost + 1];
    std::fill_n(starts, (size_t(1) << digit) + 1, 0);
    for (uint64_t e : entries) starts[(e >> shift) + 1]++;
    uint32_t most = 0;
    for (size_t d = 1; d <= size_t(1) << digit; d++) {
        most = std::max(most, starts[d]);
        starts[d] += starts[d - 1];
    }
    if (most > kCrowded) return false;
    other.resize(n);
    for (uint64_t e : entries) other[starts[e >> shift]++] = e;
    for (size_t i = 1; i < n; i++) {
        uint64_t e = other[i];
        size_t j = i;
        for (; j > 0 && other[j - 1] > e; j--) other[j] = other[j - 1];
        other[j] = e;
    }
    entries.swap(other);
    return true;
}

void sort_columns(std::vector<uint64_t>& entries, std::vector<uint64_t>& other, int bits) {
    constexpr size_t kFew = 16;
    if (entries.size() < kFew) return std::sort(entries.begin(), entries.end());
    if (sort_by_buckets(entries, other, bits)) return;
    if (entries.size() < 3 * kFew) return std::sort(entries.begin(), entries.end());
    other.resize(entries.size());
    for (int shift = 32; shift < 32 + bits; shift += 8) {
        uint32_t starts[257] = {0};
        for (uint64_t e : entries) starts[(e >> shift & 255) + 1]++;
        for (int d = 0; d < 256; d++) starts[d + 1] += starts[d];
        for (uint64_t e : entries) other[starts[e >> shift & 255]++] = e;
        entries.swap(other);
    }
}

// The same in a hash table: for rows with few cells among very many columns.
struct HashedRow {
    explicit HashedRow(int64_t n) : columns(n), bits(64 - __builtin_clzll(static_cast<uint64_t>(n) | 1)) {}
    void expect(int64_t products) {  // before a row: room for so many
        auto room = static_cast<size_t>(std::min(products, columns)) * 2 + 2;
        if (room <= keys.size()) return;
        size_t size = 64;
        while (size < room) size *= 2;
        keys.assign(size, -1);
        sums.resize(size);
    }
    void add(int32_t c, double x) {
        size_t mask = keys.size() - 1, at = (static_cast<uint32_t>(c) * 2654435769u >> 7) & mask;
        while (keys[at] != c) {
            if (keys[at] < 0) {
                keys[at] = c;
                sums[at] = x;
                taken.push_back(static_cast<uint64_t>(c) << 32 | at);
                return;
            }
            at = (at + 1) & mask;
        }
        sums[at] += x;
    }
    template <class T>
    int64_t drain(int32_t* cols, T* vals) {
        sort_columns(taken, other, bits);
        int64_t count = 0;
        for (uint64_t entry : taken) {
            auto at = static_cast<size_t>(entry & 0xffffffff);
            keys[at] = -1;
            cols[count] = static_cast<int32_t>(entry >> 32);
            vals[count] = T(sums[at]);
            count += vals[count] != 0;
        }
        taken.clear();
        return count;
    }
    int64_t columns;
    int bits;
    std::vector<int32_t> keys;
    std::vector<double> sums;
    std::vector<uint64_t> taken, other;  // column and place of what is in use
};

template <class T>
struct Part {  // of the result: the rows of one block
    std::unique_ptr<int32_t[]> cols;
    std::unique_ptr<T[]> vals;
    int64_t count = 0, offset = 0;
};

template <class T, class Row>
void add_rows(const sm_matrix* a, const sm_matrix* b, int64_t r0, int64_t r1, Part<T>& part, int64_t* counts) {
    int64_t n = b->cols, most = 0;
    for (int64_t i = r0; i < r1; i++) most += std::min(products_of_row(a, b, i), n);
    part.cols.reset(new int32_t[static_cast<size_t>(most)]);
    part.vals.reset(new T[static_cast<size_t>(most)]);
    Row acc(n);
    for (int64_t i = r0; i < r1; i++) {
        int64_t begin = a->rowptr[i], end = a->rowptr[i + 1], count = 0;
        int32_t* cols = part.cols.get() + part.count;
        T* vals = part.vals.get() + part.count;
        if (end - begin == 1) {  // a multiple of a row of B
            int64_t k = a->colidx[begin];
            for (int64_t q = b->rowptr[k]; q < b->rowptr[k + 1]; q++) {
                T x = values<T>(a)[begin] * values<T>(b)[q];
                cols[count] = b->colidx[q];
                vals[count] = x;
                count += x != 0;
            }
        } else if (end > begin) {
            acc.expect(products_of_row(a, b, i));
            for (int64_t p = begin; p < end; p++) {
                int64_t k = a->colidx[p];
                double x = values<T>(a)[p];
                for (int64_t q = b->rowptr[k]; q < b->rowptr[k + 1]; q++) acc.add(b->colidx[q], x * values<T>(b)[q]);
            }
            count = acc.drain(cols, vals);
        }
        part.count += counts[i] = count;
    }
}

template <class T>
Matrix sparse_result(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b, const RowBlocks& blocks, bool hashed) {
    std::vector<Part<T>> parts(static_cast<size_t>(blocks.n));
    std::vector<int64_t> counts(static_cast<size_t>(a->rows));
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        auto add = hashed ? add_rows<T, HashedRow> : add_rows<T, DenseRow>;
        add(a, b, blocks.bounds[t], blocks.bounds[t + 1], parts[static_cast<size_t>(t)], counts.data());
    });
    int64_t nnz = 0;
    for (Part<T>& part : parts) {
        part.offset = nnz;
        nnz += part.count;
    }
    Matrix r = new_csr(ctx, a->rows, b->cols, nnz, a->elem);
    for (int64_t i = 0; i < a->rows; i++) r->rowptr[i + 1] = r->rowptr[i] + counts[static_cast<size_t>(i)];
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        Part<T>& part = parts[static_cast<size_t>(t)];
        if (part.count == 0) return;
        std::memcpy(values<T>(r.get()) + part.offset, part.vals.get(), static_cast<size_t>(part.count) * sizeof(T));
        std::memcpy(r->colidx + part.offset, part.cols.get(), static_cast<size_t>(part.count) * sizeof(int32_t));
    });
    return r;
}

template <class T>
Matrix dense_result(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b, const RowBlocks& blocks) {
    Matrix r = new_dense_zero(ctx, a->rows, b->cols, a->elem);
    r->nnz = -1;
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            T* out = row<T>(r.get(), i);
            for (int64_t p = a->rowptr[i]; p < a->rowptr[i + 1]; p++) {
                int64_t k = a->colidx[p];
                T x = values<T>(a)[p];
                for (int64_t q = b->rowptr[k]; q < b->rowptr[k + 1]; q++) out[b->colidx[q]] += x * values<T>(b)[q];
            }
        }
    });
    return r;
}

RowBlocks blocks_of(const sm_matrix* a, const sm_matrix* b) {
    return RowBlocks(a, std::max<int64_t>(1, b->nnz / std::max<int64_t>(1, b->rows)) * 4);
}

}  // namespace

Matrix product_csr_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    RowBlocks blocks = blocks_of(a, b);
    Expected expected = expect(ctx, a, b, blocks);
    double n = static_cast<double>(b->cols), cells = static_cast<double>(a->rows) * n;
    // Whatever was expected, the result is stored by what it turns out to be.
    if (expected.nnz >= kFull * cells)
        return finish(ctx, with_element(a, [&](auto type) { return dense_result<decltype(type)>(ctx, a, b, blocks); }));
    double products = static_cast<double>(expected.products) / static_cast<double>(std::max<int64_t>(1, a->rows));
    bool hashed = b->cols > kNear && products * kScattered < n;
    return finish(ctx, with_element(a, [&](auto type) { return sparse_result<decltype(type)>(ctx, a, b, blocks, hashed); }));
}

}  // namespace sm

// How many non-zeros A %*% B is expected to have, both CSR.
SM_API double sm_expected_product_nnz(sm_ctx* ctx, sm_matrix* A, sm_matrix* B) {
    return SM_ENTRY(ctx, {
        sm::Matrix a = sm::to_csr(ctx, A), b = sm::to_csr(ctx, B);
        sm::RowBlocks blocks = sm::blocks_of(a.get(), b.get());
        return sm::expect(ctx, a.get(), b.get(), blocks).nnz;
    });
}
