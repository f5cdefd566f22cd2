// Moving and selecting cells: rev, roll, diag, trace, triangles, replace.
#include "context.h"
#include "fit.h"

#include <math.h>
#include <string.h>

#include <algorithm>

namespace sm {
namespace {

// Row i of the result is row source(i) of X.
template <class Source>
Matrix gather_rows(sm_ctx* ctx, sm_matrix* X, Source&& source) {
    if (is_dense(X)) {
        Matrix r = new_dense(ctx, X->rows, X->cols, X->elem);
        const int64_t bytes = X->cols * cell_size(X->elem);
        const char* from = static_cast<const char*>(X->data);
        char* to = static_cast<char*>(r->data);
        parallel_rows(ctx, X->rows, X->cols, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) memcpy(to + i * bytes, from + source(i) * bytes, size_t(bytes));
        });
        r->nnz = X->nnz;
        return r;
    }
    Matrix r = new_csr(ctx, X->rows, X->cols, X->nnz, X->elem);
    for (int64_t i = 0; i < X->rows; i++) {
        int64_t from = source(i);
        r->rowptr[i + 1] = r->rowptr[i] + X->rowptr[from + 1] - X->rowptr[from];
    }
    parallel_rows(ctx, X->rows, X->rows > 0 ? X->nnz / X->rows + 1 : 1, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            int64_t from = X->rowptr[source(i)], to = r->rowptr[i], n = r->rowptr[i + 1] - to;
            const int64_t size = cell_size(X->elem);
            memcpy(static_cast<char*>(r->data) + to * size, static_cast<const char*>(X->data) + from * size, size_t(n * size));
            memcpy(r->colidx + to, X->colidx + from, size_t(n) * 4);
        }
    });
    return r;
}

template <class T>
Matrix diagonal(sm_ctx* ctx, sm_matrix* X) {
    if (X->cols == 1) {
        int64_t nnz = count_nnz(ctx, X);
        if (!better_csr(X->rows, X->rows, nnz, X->elem)) {
            Matrix r = new_dense_zero(ctx, X->rows, X->rows, X->elem);
            for (int64_t i = 0; i < X->rows; i++) row<T>(r.get(), i)[i] = static_cast<T>(cell(X, i, 0));
            r->nnz = nnz;
            return r;
        }
        Matrix r = new_csr(ctx, X->rows, X->rows, nnz, X->elem);
        int64_t o = 0;
        for (int64_t i = 0; i < X->rows; i++) {
            T v = static_cast<T>(cell(X, i, 0));
            if (v != 0) values<T>(r.get())[o] = v, r->colidx[o++] = int32_t(i);
            r->rowptr[i + 1] = o;
        }
        return r;
    }
    if (X->rows != X->cols) not_diagonal(shape_of(X));
    Matrix r = new_dense(ctx, X->rows, 1, X->elem);
    for (int64_t i = 0; i < X->rows; i++) values<T>(r.get())[i] = static_cast<T>(cell(X, i, i));
    return r;
}

Matrix triangle(sm_ctx* ctx, sm_matrix* X, bool lower, bool diag, bool keep_values) {
    // Columns [first, last) of row i belong to the triangle.
    auto bounds = [=](int64_t i) -> std::pair<int64_t, int64_t> {
        if (lower) return {0, std::min(X->cols, i + (diag ? 1 : 0))};
        return {std::min(X->cols, i + (diag ? 0 : 1)), X->cols};
    };
    if (keep_values && is_csr(X)) {
        int64_t nnz = 0;
        auto inside = [&](int64_t i, int64_t p) {
            auto [first, last] = bounds(i);
            return X->colidx[p] >= first && X->colidx[p] < last;
        };
        for (int64_t i = 0; i < X->rows; i++)
            for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) nnz += inside(i, p);
        Matrix r = new_csr(ctx, X->rows, X->cols, nnz);
        int64_t o = 0;
        for (int64_t i = 0; i < X->rows; i++) {
            for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++)
                if (inside(i, p)) values(r.get())[o] = values(X)[p], r->colidx[o++] = X->colidx[p];
            r->rowptr[i + 1] = o;
        }
        return finish(ctx, std::move(r));
    }
    Matrix r = new_dense(ctx, X->rows, X->cols);
    parallel_rows(ctx, X->rows, X->cols, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            auto [first, last] = bounds(i);
            double* out = row(r.get(), i);
            std::fill(out, out + X->cols, 0.0);
            if (keep_values) std::copy(row(X, i) + first, row(X, i) + last, out + first);
            else std::fill(out + first, out + last, 1.0);
        }
    });
    return finish(ctx, std::move(r));
}

Matrix replace(sm_ctx* ctx, sm_matrix* X, double pattern, double replacement) {
    bool nan = pattern != pattern;
    auto map = [=](const double* in, double* out, int64_t n) {
        for (int64_t i = 0; i < n; i++) out[i] = (nan ? in[i] != in[i] : in[i] == pattern) ? replacement : in[i];
    };
    if (is_csr(X) && (pattern != 0 || replacement == 0)) {
        Matrix r = copy(ctx, X);
        parallel_chunks(ctx, X->nnz, kGrain, [&](int64_t b, int64_t e) { map(values(X) + b, values(r.get()) + b, e - b); });
        return finish(ctx, std::move(r));
    }
    Matrix d = to_dense(ctx, X);
    Matrix r = new_dense(ctx, X->rows, X->cols);
    parallel_chunks(ctx, cells(X), kGrain, [&](int64_t b, int64_t e) { map(values(d.get()) + b, values(r.get()) + b, e - b); });
    return replacement == 0 ? finish(ctx, std::move(r)) : r;
}

}  // namespace
}  // namespace sm

SM_API sm_matrix* sm_rev(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return sm::gather_rows(ctx, X, [&](int64_t i) { return X->rows - 1 - i; }).take(); });
}

SM_API sm_matrix* sm_roll(sm_ctx* ctx, sm_matrix* X, int64_t shift) {
    return SM_ENTRY(ctx, {
        int64_t n = X->rows;
        int64_t down = n > 0 ? ((shift % n) + n) % n : 0;
        return sm::gather_rows(ctx, X, [&](int64_t i) { return i >= down ? i - down : i - down + n; }).take();
    });
}

SM_API sm_matrix* sm_as_vector(sm_ctx* ctx, sm_matrix* X, const char* side, const char* function) {
    return SM_ENTRY(ctx, {
        bool row = side[0] == 'r';
        if ((row ? X->rows : X->cols) != 1) sm::fail("%s needs a %s vector, got %s", function, side, sm::shape(X).c_str());
        return sm::Matrix::borrow(X).take();
    });
}

SM_API sm_matrix* sm_diag(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return sm::with_element(X, [&](auto type) { return sm::diagonal<decltype(type)>(ctx, X); }).take(); });
}

SM_API double sm_trace(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, {
        if (X->rows != X->cols) sm::not_square("trace", sm::shape_of(X));
        double sum = 0, rest = 0;
        for (int64_t i = 0; i < X->rows; i++) {
            double x = sm::cell(X, i, i), t = sum + x;
            rest += fabs(sum) >= fabs(x) ? (sum - t) + x : (x - t) + sum;
            sum = t;
        }
        return std::isfinite(sum) ? sum + rest : sum;
    });
}

SM_API sm_matrix* sm_lower_tri(sm_ctx* ctx, sm_matrix* X, int32_t diag, int32_t values) {
    return SM_ENTRY(ctx, { return sm::triangle(ctx, X, true, diag != 0, values != 0).take(); });
}
SM_API sm_matrix* sm_upper_tri(sm_ctx* ctx, sm_matrix* X, int32_t diag, int32_t values) {
    return SM_ENTRY(ctx, { return sm::triangle(ctx, X, false, diag != 0, values != 0).take(); });
}

SM_API sm_matrix* sm_replace(sm_ctx* ctx, sm_matrix* X, double pattern, double replacement) {
    return SM_ENTRY(ctx, { return sm::replace(ctx, X, pattern, replacement).take(); });
}
