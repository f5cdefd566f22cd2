// order, removeEmpty and the quantile family.
#include "sort.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace sm {
namespace {

struct Key {
    uint64_t bits;
    int64_t position;
};

// Unsigned integers in the order of `less`: zeros are equal, and so are NaNs, the greatest.
uint64_t ordered_bits(double v) {
    if (v != v) return ~uint64_t(0) - 1;  // its complement is not that of any number either
    if (v == 0) v = 0;
    uint64_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | uint64_t(1) << 63;
}

// Stable. Large inputs by digits of eleven bits, least first; digits that are all equal cost one look.
void sort_keys(std::vector<Key>& keys) {
    auto less_bits = [](const Key& a, const Key& b) { return a.bits < b.bits; };
    if (std::is_sorted(keys.begin(), keys.end(), less_bits)) return;
    if (keys.size() < 4096) return std::stable_sort(keys.begin(), keys.end(), less_bits);
    constexpr int kBits = 11, kDigits = 6;
    constexpr size_t kBuckets = size_t(1) << kBits;
    std::vector<size_t> counts(kDigits * kBuckets);
    for (const Key& k : keys)
        for (int d = 0; d < kDigits; d++) counts[static_cast<size_t>(d) * kBuckets + (k.bits >> (d * kBits) & (kBuckets - 1))]++;
    std::vector<Key> other(keys.size());
    for (int d = 0; d < kDigits; d++) {
        size_t* at = counts.data() + static_cast<size_t>(d) * kBuckets;
        if (at[keys[0].bits >> (d * kBits) & (kBuckets - 1)] == keys.size()) continue;
        size_t total = 0;
        for (size_t b = 0; b < kBuckets; b++) total += std::exchange(at[b], total);
        for (const Key& k : keys) other[at[k.bits >> (d * kBits) & (kBuckets - 1)]++] = k;
        keys.swap(other);
    }
}

}  // namespace

std::vector<int64_t> sorted_rows(const sm_matrix* m, const std::vector<int64_t>& by, bool decreasing) {
    std::vector<int64_t> order(static_cast<size_t>(m->rows));
    std::iota(order.begin(), order.end(), int64_t{0});
    if (by.size() == 1) {  // the common case: keys and positions together in memory
        std::vector<Key> keys(order.size());
        for (size_t i = 0; i < keys.size(); i++) {
            uint64_t bits = ordered_bits(cell(m, static_cast<int64_t>(i), by[0]));
            keys[i] = {decreasing ? ~bits : bits, static_cast<int64_t>(i)};
        }
        sort_keys(keys);
        for (size_t i = 0; i < keys.size(); i++) order[i] = keys[i].position;
        return order;
    }
    std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
        for (int64_t c : by) {
            double a = cell(m, x, c), b = cell(m, y, c);
            if (less(a, b)) return !decreasing;
            if (less(b, a)) return decreasing;
        }
        return false;
    });
    return order;
}

namespace {

Matrix gather_rows(sm_ctx* ctx, const sm_matrix* m, const std::vector<int64_t>& rows) {
    int64_t n = static_cast<int64_t>(rows.size());
    if (is_dense(m)) {
        Matrix r = new_dense(ctx, n, m->cols);
        parallel_rows(ctx, n, m->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++) std::memcpy(row(r.get(), i), row(m, rows[static_cast<size_t>(i)]), static_cast<size_t>(m->cols) * sizeof(double));
        });
        r->nnz = n == m->rows ? m->nnz : -1;
        return r;
    }
    int64_t nnz = 0;
    for (int64_t i : rows) nnz += m->rowptr[i + 1] - m->rowptr[i];
    Matrix r = new_csr(ctx, n, m->cols, nnz);
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t p = m->rowptr[rows[static_cast<size_t>(i)]], count = m->rowptr[rows[static_cast<size_t>(i)] + 1] - p;
        std::memcpy(values(r.get()) + at, values(m) + p, static_cast<size_t>(count) * sizeof(double));
        std::memcpy(r->colidx + at, m->colidx + p, static_cast<size_t>(count) * sizeof(int32_t));
        r->rowptr[i + 1] = at += count;
    }
    return r;
}

// A column vector with weights, sorted: positions are counted in units of weight.
struct Sorted {
    Sorted(const char* op, const sm_matrix* x, const sm_matrix* w) {
        if (x->cols != 1) fail("%s needs a column vector, got %s", op, shape(x).c_str());
        if (x->rows == 0) fail("%s of an empty vector", op);
        bool weighted = given(w);
        if (weighted && (w->cols != 1 || w->rows != x->rows)) fail("%s: the weights are %s, the data %s", op, shape(w).c_str(), shape(x).c_str());
        std::vector<int64_t> order = sorted_rows(x, {0}, false);
        for (int64_t i : order) {
            double weight = weighted ? cell(w, i, 0) : 1.0;
            if (weight == 0) continue;
            if (!(weight > 0) || weight != std::floor(weight)) fail("%s: weights must be non-negative integers, got %s", op, to_text(weight).c_str());
            value.push_back(cell(x, i, 0));
            total += weight;
            upto.push_back(total);
        }
        require(total > 0, "%s: all weights are zero", op);
    }
    double at(double position) const {  // 1-based
        size_t i = static_cast<size_t>(std::lower_bound(upto.begin(), upto.end(), position) - upto.begin());
        return value[std::min(i, value.size() - 1)];
    }
    double quantile(double p) const { return at(std::max(1.0, std::ceil(p * total))); }
    std::vector<double> value, upto;
    double total = 0;
};

void probability(const char* op, double p) { require(p >= 0 && p <= 1, "%s: a probability must be between 0 and 1, got %s", op, to_text(p).c_str()); }

bool nonzero(double x) { return x != 0; }  // NaN counts

std::vector<int64_t> kept(sm_ctx* ctx, sm_matrix* m, bool rows, const sm_matrix* select) {
    int64_t n = rows ? m->rows : m->cols;
    std::vector<char> keep(static_cast<size_t>(n), 0);
    if (given(select)) {
        if (cells(select) != n || (select->rows != 1 && select->cols != 1))
            fail("removeEmpty: select is %s, but %s has %lld %s", shape(select).c_str(), shape(m).c_str(), (long long)n, rows ? "rows" : "columns");
        for (int64_t i = 0; i < n; i++) keep[static_cast<size_t>(i)] = nonzero(select->cols == 1 ? cell(select, i, 0) : cell(select, 0, i));
    } else if (is_csr(m)) {
        for (int64_t i = 0; i < m->rows; i++)
            for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++)
                if (nonzero(values(m)[p])) keep[static_cast<size_t>(rows ? i : m->colidx[p])] = 1;
    } else if (rows) {
        parallel_rows(ctx, n, m->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++)
                for (int64_t j = 0; j < m->cols && !keep[static_cast<size_t>(i)]; j++) keep[static_cast<size_t>(i)] = nonzero(row(m, i)[j]);
        });
    } else {
        for (int64_t i = 0; i < m->rows; i++)
            for (int64_t j = 0; j < n; j++) keep[static_cast<size_t>(j)] |= nonzero(row(m, i)[j]);
    }
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < n; i++)
        if (keep[static_cast<size_t>(i)]) ids.push_back(i);
    return ids;
}

Matrix gather_cols(sm_ctx* ctx, const sm_matrix* m, const std::vector<int64_t>& cols) {
    int64_t n = static_cast<int64_t>(cols.size());
    if (is_dense(m)) {
        Matrix r = new_dense(ctx, m->rows, n);
        parallel_rows(ctx, m->rows, n, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++)
                for (int64_t j = 0; j < n; j++) row(r.get(), i)[j] = row(m, i)[cols[static_cast<size_t>(j)]];
        });
        return r;
    }
    std::vector<int32_t> target(static_cast<size_t>(m->cols), -1);
    for (int64_t j = 0; j < n; j++) target[static_cast<size_t>(cols[static_cast<size_t>(j)])] = static_cast<int32_t>(j);
    int64_t nnz = 0;
    for (int64_t p = 0; p < m->nnz; p++) nnz += target[static_cast<size_t>(m->colidx[p])] >= 0;
    Matrix r = new_csr(ctx, m->rows, n, nnz);
    int64_t at = 0;
    for (int64_t i = 0; i < m->rows; i++) {
        for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++)
            if (target[static_cast<size_t>(m->colidx[p])] >= 0) {
                values(r.get())[at] = values(m)[p];
                r->colidx[at++] = target[static_cast<size_t>(m->colidx[p])];
            }
        r->rowptr[i + 1] = at;
    }
    return r;
}

}  // namespace
}  // namespace sm

using namespace sm;

SM_API sm_matrix* sm_order(sm_ctx* ctx, sm_matrix* X, sm_matrix* by, int32_t decreasing, int32_t index_return) {
    return SM_ENTRY(ctx, {
        std::vector<int64_t> columns;
        if (by->rows != 1 && by->cols != 1) fail("order: by must be a vector of column numbers, got %s", shape(by).c_str());
        for (int64_t i = 0; i < cells(by); i++) {
            double c = by->cols == 1 ? cell(by, i, 0) : cell(by, 0, i);
            require(c >= 1 && c <= static_cast<double>(X->cols), "order: column %s is out of range: the matrix has %lld columns", to_text(c).c_str(),
                    (long long)X->cols);
            columns.push_back(static_cast<int64_t>(c) - 1);
        }
        std::vector<int64_t> order = sorted_rows(X, columns, decreasing);
        if (!index_return) return gather_rows(ctx, X, order).take();
        Matrix r = new_dense(ctx, X->rows, 1);
        for (size_t i = 0; i < order.size(); i++) values(r.get())[i] = static_cast<double>(order[i] + 1);
        return r.take();
    });
}

SM_API sm_matrix* sm_remove_empty(sm_ctx* ctx, sm_matrix* X, sm_string* margin, sm_matrix* select, int32_t empty_return) {
    return SM_ENTRY(ctx, {
        bool rows = view(margin) == "rows";
        require(rows || view(margin) == "cols", "removeEmpty: margin must be \"rows\" or \"cols\", got \"%s\"", margin->text);
        std::vector<int64_t> ids = kept(ctx, X, rows, select);
        if (ids.empty() && empty_return) return rows ? new_dense_zero(ctx, 1, X->cols).take() : new_dense_zero(ctx, X->rows, 1).take();
        if (static_cast<int64_t>(ids.size()) == (rows ? X->rows : X->cols)) return Matrix::borrow(X).take();
        return finish(ctx, rows ? gather_rows(ctx, X, ids) : gather_cols(ctx, X, ids)).take();
    });
}

SM_API double sm_median(sm_ctx* ctx, sm_matrix* X, sm_matrix* W) {
    return SM_ENTRY(ctx, {
        Sorted s("median", X, W);
        double low = s.at(std::ceil(0.5 * s.total));
        return std::fmod(s.total, 2.0) == 0 ? (low + s.at(s.total / 2 + 1)) / 2 : low;
    });
}

SM_API sm_matrix* sm_quantile(sm_ctx* ctx, sm_matrix* X, sm_matrix* W, sm_matrix* P) {
    return SM_ENTRY(ctx, {
        require(P->cols == 1, "quantile: the probabilities must be a column vector");
        Sorted s("quantile", X, W);
        Matrix r = new_dense(ctx, P->rows, 1);
        for (int64_t i = 0; i < P->rows; i++) {
            double p = cell(P, i, 0);
            probability("quantile", p);
            values(r.get())[i] = s.quantile(p);
        }
        return r.take();
    });
}

SM_API sm_matrix* sm_inter_quantile(sm_ctx* ctx, sm_matrix* X, sm_matrix* W, double p) {
    return SM_ENTRY(ctx, {
        probability("interQuantile", p);
        Sorted s("interQuantile", X, W);
        double low = std::min(p, 1 - p) * s.total, high = std::max(p, 1 - p) * s.total;
        int64_t first = static_cast<int64_t>(std::ceil(low)), last = static_cast<int64_t>(std::ceil(high));  // positions first+1 .. last
        Matrix r = new_dense(ctx, std::max<int64_t>(0, last - first), 1);
        for (int64_t i = first; i < last; i++) values(r.get())[i - first] = s.at(static_cast<double>(i + 1));
        return r.take();
    });
}

SM_API double sm_inter_quartile_mean(sm_ctx* ctx, sm_matrix* X, sm_matrix* W) {
    return SM_ENTRY(ctx, {
        Sorted s("interQuartileMean", X, W);
        // Each sorted value counts with the part of its weight that lies between the quartile positions.
        double low = 0.25 * s.total, high = 0.75 * s.total, sum = 0, before = 0;
        for (size_t i = 0; i < s.value.size(); i++) {
            double part = std::min(s.upto[i], high) - std::max(before, low);
            if (part > 0) sum += part * s.value[i];
            before = s.upto[i];
        }
        return sum / (0.5 * s.total);
    });
}
