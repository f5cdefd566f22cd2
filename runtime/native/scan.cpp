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

// Down each column. Blocks of columns go in parallel: the order within a column is the language's.
template <double (*Op)(double, double)>
sm_matrix* down(sm_ctx* ctx, sm_matrix* X) {
    Matrix x = to_dense(ctx, X);
    Matrix r = new_dense(ctx, X->rows, X->cols);
    r->nnz = -1;
    int64_t width = std::max<int64_t>(8, (X->cols + 15) / 16);
    parallel_chunks(ctx, X->cols, cells(X) < kGrain ? X->cols : width, [&](int64_t c0, int64_t c1) {
        for (int64_t i = 0; i < X->rows; i++) {
            const double* in = row(x.get(), i);
            double* out = row(r.get(), i);
            if (i == 0)
                std::copy(in + c0, in + c1, out + c0);
            else
                for (int64_t j = c0; j < c1; j++) out[j] = Op(out[j - X->cols], in[j]);
        }
    });
    return r.take();
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
        Matrix x = to_dense(ctx, X);
        Matrix r = new_dense(ctx, X->rows, X->cols);
        r->nnz = -1;
        parallel_rows(ctx, X->rows, X->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++) {
                double sum = 0;
                for (int64_t j = 0; j < X->cols; j++) row(r.get(), i)[j] = j ? sum += row(x.get(), i)[j] : sum = row(x.get(), i)[j];
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
