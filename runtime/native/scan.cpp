// Prefix operations and row-wise arg extremes.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core.h"

namespace sm {
namespace {

double plus(double a, double b) { return a + b; }
double times(double a, double b) { return a * b; }
double least(double a, double b) { return a != a || b != b ? NAN : a < b ? a : b; }
double most(double a, double b) { return a != a || b != b ? NAN : a > b ? a : b; }

// Cells of row i from column c0 to c1, which are written out where only some are stored.
const double* part_of_row(const sm_matrix* X, int64_t i, int64_t c0, int64_t c1, std::vector<double>& room) {
    if (is_dense(X)) return row(X, i) + c0;
    room.assign(size_t(c1 - c0), 0.0);
    const int32_t *first = X->colidx + X->rowptr[i], *last = X->colidx + X->rowptr[i + 1];
    for (const int32_t* at = std::lower_bound(first, last, c0); at < last && *at < c1; at++) room[size_t(*at - c0)] = values(X)[at - X->colidx];
    return room.data();
}

// What becomes of v where a row has no entry. (Zeros that are not stored make zeros of all they are multiplied with.)
template <double (*Op)(double, double)>
double past_zero(double v) {
    if constexpr (Op == times) return 0;
    return Op(v, 0);
}

// Results may be sparse while few columns are not 0 in the rows above: row by row, only these are visited.
template <double (*Op)(double, double)>
Matrix down_sparse(sm_ctx* ctx, const sm_matrix* X, int64_t most) {
    Matrix r = new_csr(ctx, X->rows, X->cols, most);
    std::vector<int32_t> before, now;  // columns that are not 0 …
    std::vector<double> above, here;   // … and what is there
    int64_t n = 0;
    for (int64_t i = 0; i < X->rows; i++) {
        now.clear();
        here.clear();
        auto keep = [&](int32_t column, double v) {
            if (v == 0) return;
            now.push_back(column);
            here.push_back(v);
        };
        size_t k = 0;
        for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) {
            int32_t column = X->colidx[p];
            for (; k < before.size() && before[k] < column; k++) keep(before[k], past_zero<Op>(above[k]));
            bool both = k < before.size() && before[k] == column;
            keep(column, i == 0 ? values(X)[p] : Op(both ? above[k] : 0, values(X)[p]));
            k += both;
        }
        for (; k < before.size(); k++) keep(before[k], past_zero<Op>(above[k]));
        std::copy(now.begin(), now.end(), r->colidx + n);
        std::copy(here.begin(), here.end(), values(r.get()) + n);
        n += int64_t(now.size());
        r->rowptr[i + 1] = n;
        before.swap(now);
        above.swap(here);
    }
    r->nnz = n;
    return finish(ctx, std::move(r));
}

// How many cells of the result may not be 0: where entries are, and below the first one of a column that zeros do not stop.
template <double (*Op)(double, double)>
int64_t most_entries(const sm_matrix* X) {
    std::vector<bool> filled(static_cast<size_t>(X->cols));
    int64_t most = X->nnz;
    for (int64_t i = 0; i < X->rows; i++)
        for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) {
            auto column = static_cast<size_t>(X->colidx[p]);
            if (filled[column] || past_zero<Op>(values(X)[p]) == 0) continue;
            most += X->rows - i;
            filled[column] = true;
        }
    return most;
}

// Down each column. Blocks of columns go in parallel: the order within a column is the language's.
template <double (*Op)(double, double)>
sm_matrix* down(sm_ctx* ctx, sm_matrix* X) {
    if (is_csr(X)) {
        int64_t most = most_entries<Op>(X);
        if (better_csr(X->rows, X->cols, most)) return down_sparse<Op>(ctx, X, most).take();
    }
    Matrix r = new_dense(ctx, X->rows, X->cols);
    r->nnz = -1;
    int64_t width = std::max<int64_t>(8, (X->cols + 15) / 16);
    parallel_chunks(ctx, X->cols, cells(X) < kGrain ? X->cols : width, [&](int64_t c0, int64_t c1) {
        std::vector<double> room;
        for (int64_t i = 0; i < X->rows; i++) {
            const double* in = part_of_row(X, i, c0, c1, room);
            double* out = row(r.get(), i) + c0;
            if (i == 0)
                std::copy(in, in + (c1 - c0), out);
            else
                for (int64_t j = 0; j < c1 - c0; j++) out[j] = Op(out[j - X->cols], in[j]);
        }
    });
    return r.take();
}

// Along a row, from its first entry on.
Matrix along_sparse(sm_ctx* ctx, const sm_matrix* X, int64_t most) {
    Matrix r = new_csr(ctx, X->rows, X->cols, most);
    int64_t n = 0;
    for (int64_t i = 0; i < X->rows; i++) {
        int64_t p = X->rowptr[i], end = X->rowptr[i + 1];
        double sum = 0;
        for (int64_t j = p < end ? X->colidx[p] : X->cols; j < X->cols; j++) {
            if (p < end && X->colidx[p] == j) sum += values(X)[p++];
            r->colidx[n] = int32_t(j);
            values(r.get())[n++] = sum;
        }
        r->rowptr[i + 1] = n;
    }
    return finish(ctx, std::move(r));
}

// The same where only some cells are stored: of the others, which are all equal, the last one counts.
template <class T, class Better>
int64_t stored_index(const sm_matrix* X, int64_t i, Better better) {
    int64_t first = X->rowptr[i], last = X->rowptr[i + 1], empty = X->cols - 1, best = -1;
    const T* x = values<T>(X);
    for (int64_t p = last; p > first && X->colidx[p - 1] == empty; p--) empty--;
    for (int64_t p = first; p < last; p++)
        if (x[p] == x[p] && (best < 0 || !better(x[best], x[p]))) best = p;
    if (best < 0) return std::max<int64_t>(empty, 0);
    bool zero = empty >= 0 && !better(x[best], T(0)) && (x[best] != 0 || empty > X->colidx[best]);
    return zero ? empty : X->colidx[best];
}

template <class Better>
sm_matrix* row_index(sm_ctx* ctx, sm_matrix* X, Better better) {
    Matrix r = new_dense(ctx, X->rows, 1, X->elem);
    r->nnz = X->rows;
    with_element(X, [&](auto type) {
        using T = decltype(type);
        parallel_rows(ctx, X->rows, X->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++) {
                if (is_csr(X)) {
                    values<T>(r.get())[i] = static_cast<T>(stored_index<T>(X, i, better) + 1);
                    continue;
                }
                const T* in = row<T>(X, i);
                int64_t best = 0;
                bool found = false;
                for (int64_t j = 0; j < X->cols; j++)
                    if (in[j] == in[j] && (!found || !better(in[best], in[j]))) {  // ties: the later one
                        best = j;
                        found = true;
                    }
                values<T>(r.get())[i] = static_cast<T>(best + 1);
            }
        });
    });
    return r.take();
}

}  // namespace
}  // namespace sm

using namespace sm;

SM_API sm_matrix* sm_cumsum(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return down<plus>(ctx, X); });
}
SM_API sm_matrix* sm_cumprod(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return down<times>(ctx, X); });
}
SM_API sm_matrix* sm_cummin(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return down<least>(ctx, X); });
}
SM_API sm_matrix* sm_cummax(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return down<most>(ctx, X); });
}

SM_API sm_matrix* sm_rowcumsum(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, {
        if (is_csr(X)) {
            int64_t most = 0;
            for (int64_t i = 0; i < X->rows; i++)
                if (X->rowptr[i] < X->rowptr[i + 1]) most += X->cols - X->colidx[X->rowptr[i]];
            if (better_csr(X->rows, X->cols, most)) return along_sparse(ctx, X, most).take();
        }
        Matrix r = new_dense(ctx, X->rows, X->cols);
        r->nnz = -1;
        parallel_rows(ctx, X->rows, X->cols, [&](int64_t r0, int64_t r1) {
            std::vector<double> room;
            for (int64_t i = r0; i < r1; i++) {
                const double* in = part_of_row(X, i, 0, X->cols, room);
                double sum = 0;
                for (int64_t j = 0; j < X->cols; j++) row(r.get(), i)[j] = j ? sum += in[j] : sum = in[j];
            }
        });
        return r.take();
    });
}

SM_API sm_matrix* sm_cumsumprod(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, {
        if (X->cols != 2) fail("cumsumprod needs a matrix of two columns, got %s", shape(X).c_str());
        Matrix r = new_dense(ctx, X->rows, 1);
        r->nnz = -1;
        for (int64_t i = 0; i < X->rows; i++) values(r.get())[i] = i ? cell(X, i, 0) + cell(X, i, 1) * values(r.get())[i - 1] : cell(X, i, 0);
        return r.take();
    });
}

SM_API sm_matrix* sm_row_index_max(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return row_index(ctx, X, [](double best, double x) { return best > x; }); });
}
SM_API sm_matrix* sm_row_index_min(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return row_index(ctx, X, [](double best, double x) { return best < x; }); });
}
