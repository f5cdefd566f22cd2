// Contingency tables, grouped aggregates, distinct counts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sort.h"
#include "sum.h"

namespace sm {
namespace {

struct Cell {
    int64_t i, j;
    double w;
};

double broadcast(const sm_matrix* m, int64_t i, int64_t j) { return cells(m) == 1 ? cell(m, 0, 0) : cell(m, i, j); }

int64_t id(const char* op, double v) {
    if (!(v >= 1)) fail("%s: ids must be at least 1, got %s", op, to_text(v).c_str());
    if (!(v < 9e15)) fail("%s: the id %s is too large", op, to_text(v).c_str());
    return static_cast<int64_t>(v);
}

void same_size(const sm_matrix* a, const sm_matrix* m, const char* what) {
    if (cells(m) != 1 && (m->rows != a->rows || m->cols != a->cols)) fail("table: the %s are %s, the first vector %s", what, shape(m).c_str(), shape(a).c_str());
}

Matrix build(sm_ctx* ctx, std::vector<Cell>& found, int64_t rows, int64_t cols) {
    int64_t n = static_cast<int64_t>(found.size());
    if (cols == 1 || !better_csr(rows, cols, n)) {
        Matrix r = new_dense_zero(ctx, rows, cols);
        for (const Cell& c : found) values(r.get())[c.i * cols + c.j] += c.w;
        r->nnz = -1;
        return finish(ctx, std::move(r));
    }
    // Counting sort by row keeps the order of arrival; then each row is sorted and its equal columns added.
    std::vector<int64_t> start(static_cast<size_t>(rows + 1), 0);
    for (const Cell& c : found) start[static_cast<size_t>(c.i + 1)]++;
    for (int64_t i = 0; i < rows; i++) start[static_cast<size_t>(i + 1)] += start[static_cast<size_t>(i)];
    std::vector<std::pair<int64_t, double>> placed(found.size());
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    for (const Cell& c : found) placed[static_cast<size_t>(next[static_cast<size_t>(c.i)]++)] = {c.j, c.w};
    Matrix r = new_csr(ctx, rows, cols, n);
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++) {
        auto begin = placed.begin() + start[static_cast<size_t>(i)], end = placed.begin() + start[static_cast<size_t>(i + 1)];
        if (end - begin > 1) std::stable_sort(begin, end, [](const auto& a, const auto& b) { return a.first < b.first; });
        int64_t row_begin = at;
        for (; begin != end; ++begin)
            if (at > row_begin && r->colidx[at - 1] == begin->first) {
                values(r.get())[at - 1] += begin->second;
            } else {
                r->colidx[at] = static_cast<int32_t>(begin->first);
                values(r.get())[at++] = begin->second;
            }
        r->rowptr[i + 1] = at;
    }
    r->nnz = at;
    drop_zeros(ctx, r.get());
    return finish(ctx, std::move(r));
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
    double result() const { return n > 0 ? sum.result() / n : NAN; }
    // The sum of what was added as a sample's squares, as a variance: one value has none, unless it is not finite.
    double sample() const { return n > 1 ? sum.result() / (n - 1) : n == 1 ? sum.result() : NAN; }
};

double power(double d, int64_t order) { return order == 2 ? d * d : order == 3 ? d * d * d : (d * d) * (d * d); }

}  // namespace
}  // namespace sm

using namespace sm;

SM_API sm_matrix* sm_table(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, sm_matrix* W, int64_t rows, int64_t cols) {
    return SM_ENTRY(ctx, {
        same_size(A, B, "second values");
        same_size(A, W, "weights");
        std::vector<Cell> found;
        found.reserve(static_cast<size_t>(cells(A)));
        int64_t max_i = 0, max_j = 0;
        for (int64_t r = 0; r < A->rows; r++)
            for (int64_t c = 0; c < A->cols; c++) {
                double a = cell(A, r, c), b = broadcast(B, r, c);
                if (a != a || b != b) continue;
                Cell one{id("table", a) - 1, id("table", b) - 1, broadcast(W, r, c)};
                if ((rows >= 0 && one.i >= rows) || (cols >= 0 && one.j >= cols)) continue;
                max_i = std::max(max_i, one.i + 1);
                max_j = std::max(max_j, one.j + 1);
                found.push_back(one);
            }
        return build(ctx, found, rows >= 0 ? rows : max_i, cols >= 0 ? cols : max_j).take();
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
        auto at = [](const sm_matrix* v, int64_t i) { return v->rows == 1 ? cell(v, 0, i) : cell(v, i, 0); };
        int64_t groups = ngroups;
        if (groups < 0)
            for (int64_t i = 0; i < n; i++) groups = std::max(groups, id("aggregate", at(G, i)));
        groups = std::max<int64_t>(groups, 0);
        static const char* const kNames[] = {"sum", "count", "mean", "variance", "centralmoment", "min", "max"};
        if (std::find(std::begin(kNames), std::end(kNames), fn) == std::end(kNames))
            fail("aggregate: unknown function '%s': it is sum, count, mean, variance, centralmoment, min or max", fn.c_str());
        require(fn != "centralmoment" || (order >= 2 && order <= 4), "aggregate: centralmoment needs order 2, 3 or 4, got %lld", (long long)order);
        double inf = std::numeric_limits<double>::infinity();
        bool sums = fn == "sum" || fn == "mean", least = fn == "min", most = fn == "max", moments = fn == "variance" || fn == "centralmoment";
        Matrix r = new_dense_fill(ctx, groups, width, least ? inf : most ? -inf : 0.0);
        std::vector<Mean> means(static_cast<size_t>(least || most ? 0 : groups * width)), spreads(moments ? means.size() : 0);
        auto each = [&](auto&& use) {
            for (int64_t i = 0; i < n; i++) {
                int64_t g = id("aggregate", at(G, i)) - 1;
                if (g >= groups) continue;
                double w = given(W) ? at(W, i) : 1.0;
                for (int64_t c = 0; c < width; c++) use(static_cast<size_t>(g * width + c), row_target ? cell(X, 0, i) : cell(X, i, c), w);
            }
        };
        double* out = values(r.get());
        each([&](size_t k, double x, double w) {
            if (least) out[k] = x != x || out[k] != out[k] ? NAN : std::min(out[k], x);
            else if (most) out[k] = x != x || out[k] != out[k] ? NAN : std::max(out[k], x);
            else means[k].add(x, w);
        });
        if (moments) each([&](size_t k, double x, double w) { spreads[k].add(power(x - means[k].result(), fn == "variance" ? 2 : order), w); });
        for (size_t k = 0; k < static_cast<size_t>(groups * width); k++) {
            if (fn == "count") out[k] = means[k].n;
            if (sums) out[k] = fn == "sum" ? means[k].sum.result() : means[k].result();
            if (moments) out[k] = fn == "variance" ? spreads[k].sample() : spreads[k].result();
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
        std::vector<double> v;
        auto collect = [&](int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
            v.clear();
            for (int64_t i = i0; i < i1; i++)
                for (int64_t j = j0; j < j1; j++) v.push_back(cell(X, i, j) == 0 ? 0.0 : cell(X, i, j));
            return count(v);
        };
        if (by_row)
            for (int64_t i = 0; i < X->rows; i++) values(r.get())[i] = collect(i, i + 1, 0, X->cols);
        else if (by_col)
            for (int64_t j = 0; j < X->cols; j++) values(r.get())[j] = collect(0, X->rows, j, j + 1);
        else
            values(r.get())[0] = collect(0, X->rows, 0, X->cols);
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
        for (int64_t i = 0; i < X->rows; i++)
            for (int64_t j = 0; j < X->cols; j++) mean.add(cell(X, i, j), cell(W, i, j));
        return mean.result();
    });
}
