// Contingency tables, grouped aggregates, distinct counts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg_product.h"
#include "sort.h"
#include "sum.h"

namespace sm {
namespace {

int64_t id(const char* op, double v) {
    if (!(v >= 1)) fail("%s: ids must be at least 1, got %s", op, to_text(v).c_str());
    if (!(v < 9e15)) fail("%s: the id %s is too large", op, to_text(v).c_str());
    return static_cast<int64_t>(v);
}
bool is_id(double v) { return v >= 1 && v < 9e15; }

void same_size(const sm_matrix* a, const sm_matrix* m, const char* what) {
    if (cells(m) != 1 && (m->rows != a->rows || m->cols != a->cols)) fail("table: the %s are %s, the first vector %s", what, shape(m).c_str(), shape(a).c_str());
}

// The cells of a matrix, or one for all.
struct Cells {
    Cells(sm_ctx* ctx, sm_matrix* x) : m(to_dense(ctx, x)), from(values(m.get())), step(cells(x) != 1) {}
    double operator[](int64_t i) const { return from[i * step]; }
    Matrix m;
    const double* from;
    int64_t step;
};

// Entries that are looked at together, in an order that the sizes decide: partial sums for `groups` must pay.
int64_t shares(int64_t entries, int64_t groups) { return std::clamp<int64_t>(entries / (8 * groups + 2 * kGrain), 1, 8); }

// What a table is made of: n entries (i, j) with weights, of a result of rows x cols.
struct Entries {
    Cells a, b, w;
    int64_t n, rows, cols, inside = 0;

    // f(i, j, w) for those of [first, last) inside the result.
    template <class F>
    void each(int64_t first, int64_t last, F&& f) const {
        for (int64_t e = first; e < last; e++) {
            double x = a[e], y = b[e];
            if (x != x || y != y) continue;
            int64_t i = int64_t(x) - 1, j = int64_t(y) - 1;
            if (i < rows && j < cols) f(i, j, w[e]);
        }
    }
    void measure(sm_ctx* ctx);
};

// Checks ids; finds sizes that are not given (negative), and how many entries are inside.
void Entries::measure(sm_ctx* ctx) {
    struct Seen {
        int64_t inside = 0, rows = 0, cols = 0;
        bool wrong = false;
    };
    constexpr int64_t kShare = 1 << 16;
    std::vector<Seen> seen(size_t((n + kShare - 1) / kShare));
    const int64_t known_rows = rows, known_cols = cols;
    if (rows < 0) rows = INT64_MAX;
    if (cols < 0) cols = INT64_MAX;
    parallel_chunks(ctx, n, kShare, [&](int64_t first, int64_t last) {
        Seen s;
        for (int64_t e = first; e < last && !s.wrong; e++) s.wrong = a[e] == a[e] && b[e] == b[e] && !(is_id(a[e]) && is_id(b[e]));
        if (!s.wrong) each(first, last, [&](int64_t i, int64_t j, double) { s.inside++, s.rows = std::max(s.rows, i + 1), s.cols = std::max(s.cols, j + 1); });
        seen[size_t(first / kShare)] = s;
    });
    int64_t most_rows = 0, most_cols = 0;
    for (size_t t = 0; t < seen.size(); t++) {
        for (int64_t e = int64_t(t) * kShare; seen[t].wrong; e++)
            if (a[e] == a[e] && b[e] == b[e]) id("table", a[e]), id("table", b[e]);  // fails at the first that is none
        inside += seen[t].inside, most_rows = std::max(most_rows, seen[t].rows), most_cols = std::max(most_cols, seen[t].cols);
    }
    rows = known_rows < 0 ? most_rows : known_rows;
    cols = known_cols < 0 ? most_cols : known_cols;
}

Matrix dense_table(sm_ctx* ctx, const Entries& t) {
    int64_t size = t.rows * t.cols, n = shares(t.n, size);
    Matrix r = new_dense_zero(ctx, t.rows, t.cols), partial = new_dense_zero(ctx, n - 1, size);
    parallel_for(ctx, n, [&](int64_t k) {
        double* out = k ? row(partial.get(), k - 1) : values(r.get());
        t.each(t.n * k / n, t.n * (k + 1) / n, [&](int64_t i, int64_t j, double w) { out[i * t.cols + j] += w; });
    });
    for (int64_t k = 1; k < n; k++)
        for (int64_t c = 0; c < size; c++) values(r.get())[c] += row(partial.get(), k - 1)[c];
    r->nnz = -1;
    return finish(ctx, std::move(r));
}

// Counting sort by row keeps the order of arrival; then each row is sorted and its equal columns added.
Matrix sparse_table(sm_ctx* ctx, const Entries& t) {
    std::vector<int64_t> next(static_cast<size_t>(t.rows + 1), 0);  // where rows begin, then where they end
    t.each(0, t.n, [&](int64_t i, int64_t, double) { next[static_cast<size_t>(i + 1)]++; });
    for (int64_t i = 0; i < t.rows; i++) next[static_cast<size_t>(i + 1)] += next[static_cast<size_t>(i)];
    struct Placed {
        int64_t column;
        double w;
    };
    std::vector<Placed> placed(static_cast<size_t>(t.inside));
    t.each(0, t.n, [&](int64_t i, int64_t j, double w) { placed[static_cast<size_t>(next[static_cast<size_t>(i)]++)] = {j, w}; });
    Matrix r = new_csr(ctx, t.rows, t.cols, t.inside);
    int64_t at = 0;
    auto before = [](const Placed& a, const Placed& b) { return a.column < b.column; };
    for (int64_t i = 0; i < t.rows; i++) {
        auto begin = placed.begin() + (i ? next[static_cast<size_t>(i - 1)] : 0), end = placed.begin() + next[static_cast<size_t>(i)];
        if (!std::is_sorted(begin, end, before)) std::stable_sort(begin, end, before);
        while (begin != end) {
            int64_t column = begin->column;
            double sum = begin->w;
            while (++begin != end && begin->column == column) sum += begin->w;
            r->colidx[at] = static_cast<int32_t>(column);
            values(r.get())[at++] = sum;
        }
        r->rowptr[i + 1] = at;
    }
    r->nnz = at;
    drop_zeros(ctx, r.get());
    return finish(ctx, std::move(r));
}

// Checks ids; the largest.
int64_t groups_of(sm_ctx* ctx, const Cells& ids, int64_t n) {
    constexpr int64_t kShare = 1 << 16;
    std::vector<double> most(size_t((n + kShare - 1) / kShare));  // NaN: one is none
    parallel_chunks(ctx, n, kShare, [&](int64_t first, int64_t last) {
        double largest = 0;
        bool wrong = false;
        for (int64_t i = first; i < last; i++) {
            wrong |= !is_id(ids[i]);
            largest = ids[i] > largest ? ids[i] : largest;
        }
        most[size_t(first / kShare)] = wrong ? NAN : largest;
    });
    double largest = 0;
    for (size_t t = 0; t < most.size(); t++) {
        for (int64_t i = int64_t(t) * kShare; most[t] != most[t]; i++) id("aggregate", ids[i]);  // fails at the first that is none
        largest = std::max(largest, most[t]);
    }
    return static_cast<int64_t>(largest);
}

// A weighted mean. Moments are sums of distances from it in a second pass: updating them with it makes NaN of infinities.
// A weight of 0 leaves the value out, whatever it is.
struct Mean {
    CompensatedSum sum;
    double n = 0;
    void add(double x, double w) {
        if (w == 0) return;
        sum.add(x * w);
        n += w;
    }
    void add(const Mean& other) {
        sum.add(other.sum.value);
        if (std::isfinite(other.sum.value)) sum.rest += other.sum.rest;
        n += other.n;
    }
    double result() const { return n > 0 ? sum.result() / n : NAN; }
    // The sum of what was added as a sample's squares, as a variance: one value has none, unless it is not finite.
    double sample() const { return n > 1 ? sum.result() / (n - 1) : n == 1 ? sum.result() : NAN; }
};

// Sums or means of the rows of a sparse matrix by groups: the product with it of what says which row is in which group.
Matrix sums_of_sparse(sm_ctx* ctx, const sm_matrix* X, const Cells& ids, int64_t groups, const double* weights, bool mean) {
    const int64_t n = X->rows;
    auto weight = [&](int64_t i) { return weights ? weights[i] : 1.0; };
    std::vector<int64_t> starts(static_cast<size_t>(groups) + 1);
    std::vector<double> total(static_cast<size_t>(groups));
    auto each = [&](auto&& use) {
        for (int64_t i = 0; i < n; i++)
            if (int64_t g = int64_t(ids.from[i]) - 1; g < groups && weight(i) != 0) use(static_cast<size_t>(g), i);
    };
    each([&](size_t g, int64_t i) {
        starts[g + 1]++;
        total[g] += weight(i);
    });
    for (size_t g = 1; g < starts.size(); g++) starts[g] += starts[g - 1];
    Matrix members = new_csr(ctx, groups, n, starts.back());
    std::copy(starts.begin(), starts.end(), members->rowptr);
    each([&](size_t g, int64_t i) {
        members->colidx[starts[g]] = int32_t(i);
        values(members.get())[starts[g]++] = weight(i);
    });
    Matrix r = members->nnz == 0 ? finish(ctx, new_csr_empty(ctx, groups, X->cols)) : product_csr_csr(ctx, members.get(), X);
    if (!mean) return r;
    for (double t : total)
        if (!(t > 0)) {  // the mean of nothing
            r = to_dense(ctx, r.get());
            break;
        }
    for (int64_t g = 0; g < groups; g++) {
        double t = total[static_cast<size_t>(g)];
        int64_t begin = is_csr(r.get()) ? r->rowptr[g] : g * X->cols, end = is_csr(r.get()) ? r->rowptr[g + 1] : begin + X->cols;
        for (int64_t p = begin; p < end; p++) values(r.get())[p] = t > 0 ? values(r.get())[p] / t : NAN;
    }
    if (is_dense(r.get())) r->nnz = -1;
    return r;
}

double power(double d, int64_t order) { return order == 2 ? d * d : order == 3 ? d * d * d : (d * d) * (d * d); }

}  // namespace
}  // namespace sm

using namespace sm;

SM_API sm_matrix* sm_table(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, sm_matrix* W, int64_t rows, int64_t cols) {
    return SM_ENTRY(ctx, {
        same_size(A, B, "second values");
        same_size(A, W, "weights");
        Entries t{Cells(ctx, A), Cells(ctx, B), Cells(ctx, W), cells(A), rows, cols};
        t.measure(ctx);
        return (t.cols == 1 || !better_csr(t.rows, t.cols, t.inside) ? dense_table(ctx, t) : sparse_table(ctx, t)).take();
    });
}

SM_API sm_matrix* sm_grouped_aggregate(sm_ctx* ctx, sm_matrix* X, sm_matrix* G, sm_matrix* W, sm_string* function, int64_t order, int64_t ngroups) {
    return SM_ENTRY(ctx, {
        std::string fn(view(function));
        int64_t n = cells(G);
        if (G->rows != 1 && G->cols != 1) fail("aggregate: groups must be a vector, got %s", shape(G).c_str());
        bool row_target = X->rows == 1 && X->cols == n && n > 1;
        int64_t width = row_target ? 1 : X->cols;
        if (!row_target && X->rows != n) fail("aggregate: the target has %lld rows, groups %lld", (long long)X->rows, (long long)n);
        if (given(W) && cells(W) != n) fail("aggregate: weights are %s, groups %s", shape(W).c_str(), shape(G).c_str());
        Cells ids(ctx, G);
        int64_t groups = groups_of(ctx, ids, n);
        if (ngroups >= 0) groups = ngroups;
        static const char* const kNames[] = {"sum", "count", "mean", "variance", "centralmoment", "min", "max"};
        if (std::find(std::begin(kNames), std::end(kNames), fn) == std::end(kNames))
            fail("aggregate: unknown function '%s': it is sum, count, mean, variance, centralmoment, min or max", fn.c_str());
        require(fn != "centralmoment" || (order >= 2 && order <= 4), "aggregate: centralmoment needs order 2, 3 or 4, got %lld", (long long)order);
        double inf = std::numeric_limits<double>::infinity();
        bool sums = fn == "sum" || fn == "mean", least = fn == "min", most = fn == "max", moments = fn == "variance" || fn == "centralmoment";
        Matrix given_weights = given(W) ? to_dense(ctx, W) : Matrix();
        const double* weights = given_weights ? values(given_weights.get()) : nullptr;
        const bool stored = is_csr(X) && !row_target;  // of which only entries are visited
        if (stored && sums) return sums_of_sparse(ctx, X, ids, groups, weights, fn == "mean").take();
        Matrix r = new_dense(ctx, groups, width);
        const double *x = is_dense(X) ? values(X) : nullptr;
        // Shares of the rows have partial results, which are put together in order.
        const int64_t size = groups * width, parts = shares(n * width, size);
        std::vector<double> extremes(static_cast<size_t>(least || most ? parts * size : 0), least ? inf : -inf);
        std::vector<Mean> means(static_cast<size_t>(least || most ? 0 : parts * size)), spreads(moments ? means.size() : 0);
        auto each = [&](auto&& use) {  // use(first of the share's results, which of them, cell, weight)
            parallel_for(ctx, parts, [&](int64_t t) {
                auto of_rows = [&](auto&& cell_of) {
                    for (int64_t i = n * t / parts; i < n * (t + 1) / parts; i++)
                        if (int64_t g = int64_t(ids.from[i]) - 1; g < groups)
                            for (int64_t c = 0; c < width; c++) use(t * size, g * width + c, cell_of(i, c), weights ? weights[i] : 1.0);
                };
                auto of_entries = [&] {
                    for (int64_t i = n * t / parts; i < n * (t + 1) / parts; i++)
                        if (int64_t g = int64_t(ids.from[i]) - 1; g < groups)
                            for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) use(t * size, g * width + X->colidx[p], values(X)[p], weights ? weights[i] : 1.0);
                };
                if (stored) of_entries();
                else if (x) of_rows([&](int64_t i, int64_t c) { return x[i * width + c]; });
                else of_rows([&](int64_t i, int64_t c) { return row_target ? cell(X, 0, i) : cell(X, i, c); });
            });
        };
        auto together = [&](auto& partial, auto&& add) {
            for (int64_t t = 1; t < parts && !partial.empty(); t++)
                for (int64_t k = 0; k < size; k++) add(partial[static_cast<size_t>(k)], partial[static_cast<size_t>(t * size + k)]);
        };
        auto lesser = +[](double& a, double b) { a = a != a || b != b ? NAN : std::min(a, b); };
        auto greater = +[](double& a, double b) { a = a != a || b != b ? NAN : std::max(a, b); };
        auto add = [](Mean& a, const Mean& b) { a.add(b); };
        // What is not stored: the rows (or their weight) of a group less those that a column has entries in.
        std::vector<double> members(static_cast<size_t>(stored ? groups : 0)), seen(static_cast<size_t>(stored && (least || most) ? size : 0));
        for (int64_t i = 0; i < n && stored; i++)
            if (int64_t g = int64_t(ids.from[i]) - 1; g < groups) {
                members[static_cast<size_t>(g)] += weights && !least && !most ? weights[i] : 1.0;
                for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1] && !seen.empty(); p++) seen[static_cast<size_t>(g * width + X->colidx[p])]++;
            }
        auto add_zeros = [&](std::vector<Mean>& found, auto&& value) {
            for (int64_t k = 0; k < size && stored && !found.empty(); k++) {
                Mean& cell = found[static_cast<size_t>(k)];
                cell.add(value(static_cast<size_t>(k)), members[static_cast<size_t>(k / width)] - cell.n);
            }
        };
        if (least) each([&](int64_t share, int64_t k, double v, double) { lesser(extremes[static_cast<size_t>(share + k)], v); });
        else if (most) each([&](int64_t share, int64_t k, double v, double) { greater(extremes[static_cast<size_t>(share + k)], v); });
        else each([&](int64_t share, int64_t k, double v, double w) { means[static_cast<size_t>(share + k)].add(v, w); });
        if (least) together(extremes, lesser);
        else together(extremes, greater);
        for (size_t k = 0; k < seen.size(); k++)
            if (members[k / static_cast<size_t>(width)] > seen[k]) (least ? lesser : greater)(extremes[k], 0);
        together(means, add);
        add_zeros(means, [](size_t) { return 0.0; });
        if (moments)
            each([&](int64_t share, int64_t k, double v, double w) {
                spreads[static_cast<size_t>(share + k)].add(power(v - means[static_cast<size_t>(k)].result(), fn == "variance" ? 2 : order), w);
            });
        together(spreads, add);
        add_zeros(spreads, [&](size_t k) { return power(0 - means[k].result(), fn == "variance" ? 2 : order); });
        for (size_t k = 0; k < static_cast<size_t>(size); k++) {
            double& out = values(r.get())[k];
            if (fn == "count") out = means[k].n;
            if (sums) out = fn == "sum" ? means[k].sum.result() : means[k].result();
            if (moments) out = fn == "variance" ? spreads[k].sample() : spreads[k].result();
            if (least || most) out = extremes[k];
        }
        r->nnz = -1;
        return r.take();
    });
}

SM_API sm_matrix* sm_count_distinct(sm_ctx* ctx, sm_matrix* X, const char* dir) {
    return SM_ENTRY(ctx, {
        bool by_row = dir[0] == 'r', by_col = dir[0] == 'c';
        auto count = [](std::vector<double>& v) {
            std::sort(v.begin(), v.end(), less);
            int64_t n = 0;
            for (size_t i = 0; i < v.size(); i++) n += i == 0 || (v[i] != v[i - 1] && !(v[i] != v[i] && v[i - 1] != v[i - 1]));
            return static_cast<double>(n);
        };
        Matrix r = new_dense(ctx, by_row ? X->rows : 1, by_col ? X->cols : 1);
        Matrix lines = by_col ? Matrix(sm_t(ctx, X)) : Matrix::borrow(X);  // each of them is counted by itself, or all together
        std::vector<double> v;
        auto collect = [&](int64_t first, int64_t last) {
            const sm_matrix* m = lines.get();
            bool csr = is_csr(m);
            int64_t begin = csr ? m->rowptr[first] : first * m->cols, end = csr ? m->rowptr[last] : last * m->cols;
            v.assign(values(m) + begin, values(m) + end);
            for (double& x : v) x = x == 0 ? 0.0 : x;  // -0 is no other value
            if (end - begin < (last - first) * m->cols) v.push_back(0);
            return count(v);
        };
        if (by_row || by_col)
            for (int64_t i = 0; i < lines->rows; i++) values(r.get())[i] = collect(i, i + 1);
        else
            values(r.get())[0] = collect(0, X->rows);
        return r.take();
    });
}

SM_API double sm_moment(sm_ctx* ctx, sm_matrix* X, sm_matrix* W, int64_t k) {
    return SM_ENTRY(ctx, {
        if (X->cols != 1) fail("moment needs a column vector, got %s", shape(X).c_str());
        if (given(W) && (W->rows != X->rows || W->cols != 1)) fail("moment: the weights are %s, the data %s", shape(W).c_str(), shape(X).c_str());
        require(k >= 0 && k <= 4, "moment: the order must be 0 to 4, got %lld", (long long)k);
        auto weight = [&](int64_t i) { return given(W) ? cell(W, i, 0) : 1.0; };
        Mean mean, spread;
        for (int64_t i = 0; i < X->rows; i++) mean.add(cell(X, i, 0), weight(i));
        if (k < 2) return k == 0 ? mean.n : mean.result();
        for (int64_t i = 0; i < X->rows; i++) spread.add(power(cell(X, i, 0) - mean.result(), k), weight(i));
        return spread.result();
    });
}

SM_API double sm_cov(sm_ctx* ctx, sm_matrix* X, sm_matrix* Y, sm_matrix* W) {
    return SM_ENTRY(ctx, {
        if (X->cols != 1 || Y->cols != 1 || X->rows != Y->rows) fail("cov needs two column vectors of equal length, got %s and %s", shape(X).c_str(), shape(Y).c_str());
        if (given(W) && (W->rows != X->rows || W->cols != 1)) fail("cov: the weights are %s, the data %s", shape(W).c_str(), shape(X).c_str());
        auto weight = [&](int64_t i) { return given(W) ? cell(W, i, 0) : 1.0; };
        Mean x, y, spread;
        for (int64_t i = 0; i < X->rows; i++) {
            x.add(cell(X, i, 0), weight(i));
            y.add(cell(Y, i, 0), weight(i));
        }
        double mx = x.result(), my = y.result();
        for (int64_t i = 0; i < X->rows; i++) spread.add((cell(X, i, 0) - mx) * (cell(Y, i, 0) - my), weight(i));
        return spread.sample();
    });
}

SM_API double sm_weighted_mean(sm_ctx* ctx, sm_matrix* X, sm_matrix* W) {
    return SM_ENTRY(ctx, {
        if (X->rows != W->rows || X->cols != W->cols) fail("mean: the weights are %s, the data %s", shape(W).c_str(), shape(X).c_str());
        Mean mean;
        for (int64_t i = 0; i < X->rows; i++) {
            if (is_csr(W))
                for (int64_t p = W->rowptr[i]; p < W->rowptr[i + 1]; p++) mean.add(cell(X, i, W->colidx[p]), values(W)[p]);
            else
                for (int64_t j = 0; j < X->cols; j++) mean.add(cell(X, i, j), cell(W, i, j));
        }
        return mean.result();
    });
}
