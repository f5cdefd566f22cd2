// Matrices from nothing, from text, from scalars and from other shapes.
#include "context.h"
#include "fit.h"

#include <math.h>
#include <string.h>

#include <algorithm>

namespace sm {
namespace {

// The cells row by row in another shape: for CSR the order of the entries stays the same.
Matrix reshape_rows(sm_ctx* ctx, sm_matrix* X, int64_t rows, int64_t cols) {
    if (is_dense(X)) {
        Matrix r = copy(ctx, X);
        r->rows = rows;
        r->cols = cols;
        return r;
    }
    if (!better_csr(rows, cols, X->nnz, X->elem)) {
        Matrix d = to_dense(ctx, X);
        return reshape_rows(ctx, d.get(), rows, cols);
    }
    Matrix r = new_csr(ctx, rows, cols, X->nnz, X->elem);
    memcpy(r->data, X->data, size_t(X->nnz * cell_size(X->elem)));
    int64_t next = 0;  // the result row whose start comes next
    for (int64_t i = 0; i < X->rows; i++)
        for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) {
            int64_t at = i * X->cols + X->colidx[p];
            while (next <= at / cols) r->rowptr[next++] = p;
            r->colidx[p] = int32_t(at % cols);
        }
    while (next <= rows) r->rowptr[next++] = X->nnz;
    return r;
}

Matrix sequence(sm_ctx* ctx, double from, double to, double incr) {
    require(std::isfinite(from) && std::isfinite(to) && std::isfinite(incr), "seq: from, to and the increment must be finite");
    if (from == to) return new_dense_fill(ctx, 1, 1, from);
    if (incr == 0 || (to > from) != (incr > 0))
        fail("seq: wrong sign for the increment of a sequence from %s to %s by %s", to_text(from).c_str(), to_text(to).c_str(), to_text(incr).c_str());
    double count = 1 + floor(to / incr - from / incr);
    require(count < 9e15, "out of memory: a sequence of %.0f values is too long", count);
    Matrix r = new_dense(ctx, int64_t(count), 1);
    double* out = values(r.get());
    bool exact = from == floor(from) && incr == floor(incr) && fabs(from) < 9e15 && fabs(to) < 9e15;
    if (exact)
        parallel_chunks(ctx, r->rows, kGrain, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) out[i] = from + double(i) * incr;
        });
    else
        for (int64_t i = 0; i < r->rows; i++, from += incr) out[i] = from;
    return r;
}

Matrix parse_matrix(sm_ctx* ctx, std::string_view text, int64_t rows, int64_t cols) {
    Matrix r = new_dense(ctx, rows, cols);
    int64_t n = 0, wanted = rows * cols;
    auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; };
    for (size_t i = 0;;) {
        while (i < text.size() && blank(text[i])) i++;
        if (i == text.size()) break;
        size_t begin = i;
        while (i < text.size() && !blank(text[i])) i++;
        std::string_view token = text.substr(begin, i - begin);
        double v;
        if (!parse_double(token, v)) fail("'%.*s' is not a number", int(std::min<size_t>(token.size(), 60)), token.data());
        if (n < wanted) values(r.get())[n] = v;
        n++;
    }
    require(n == wanted, "a %lldx%lld matrix has %lld cells, but the string holds %lld values", (long long)rows, (long long)cols, (long long)wanted,
            (long long)n);
    return finish(ctx, std::move(r));
}

Matrix filled(sm_ctx* ctx, double value, int64_t rows, int64_t cols, uint8_t elem) {
    // Zeros that would fill the memory are likely to stay zeros mostly.
    if (value == 0 && rows > 1 && cols > 1 && cols <= INT32_MAX && fills_memory(rows, cols, elem)) return new_csr_empty(ctx, rows, cols, elem);
    return value != 0 ? new_dense_fill(ctx, rows, cols, value, elem) : new_dense_zero(ctx, rows, cols, elem);
}

}  // namespace

Matrix transpose(sm_ctx* ctx, sm_matrix* m);

}  // namespace sm

using sm::Matrix;

SM_API sm_matrix* sm_fill(sm_ctx* ctx, double value, int64_t rows, int64_t cols, const char* elem) {
    return SM_ENTRY(ctx, { return sm::filled(ctx, value, rows, cols, sm::element_named(elem)).take(); });
}

SM_API sm_matrix* sm_matrix_of_text(sm_ctx* ctx, sm_string* text, int64_t rows, int64_t cols) {
    return SM_ENTRY(ctx, { return sm::parse_matrix(ctx, sm::view(text), rows, cols).take(); });
}

SM_API sm_matrix* sm_matrix_of_box(sm_ctx* ctx, sm_box* value, int64_t rows, int64_t cols) {
    return SM_ENTRY(ctx, {
        if (value->tag == SM_TAG_STRING) return sm::parse_matrix(ctx, sm::view(value->v.str), rows, cols).take();
        double number = value->tag == SM_TAG_F64 ? value->v.f64 : double(value->v.i64);
        return sm::filled(ctx, number, rows, cols, SM_F64).take();
    });
}

SM_API sm_matrix* sm_seq(sm_ctx* ctx, double from, double to, double incr) {
    return SM_ENTRY(ctx, { return sm::sequence(ctx, from, to, incr).take(); });
}

SM_API sm_matrix* sm_reshape(sm_ctx* ctx, sm_matrix* X, int64_t rows, int64_t cols, int32_t byrow) {
    return SM_ENTRY(ctx, {
        int64_t n = 0;
        bool overflow = __builtin_mul_overflow(rows, cols, &n);
        sm::require(rows >= 0 && cols >= 0 && !overflow && n == sm::cells(X), "matrix: %lldx%lld cells do not fit into %lldx%lld",
                    (long long)X->rows, (long long)X->cols, (long long)rows, (long long)cols);
        if (rows == X->rows && cols == X->cols) return Matrix::borrow(X).take();
        if (byrow || n == 0) return sm::reshape_rows(ctx, X, rows, cols).take();
        Matrix columns = sm::transpose(ctx, X);
        Matrix shaped = sm::reshape_rows(ctx, columns.get(), cols, rows);
        return sm::transpose(ctx, shaped.get()).take();
    });
}

SM_API sm_matrix* sm_as_matrix(sm_ctx* ctx, double value, const char* elem) {
    return SM_ENTRY(ctx, { return sm::new_dense_fill(ctx, 1, 1, value, sm::element_named(elem)).take(); });
}

SM_API double sm_as_scalar(sm_ctx* ctx, sm_matrix* X) {
    if (__builtin_expect(X->rows == 1 && X->cols == 1, 1)) return sm::cell(X, 0, 0);
    return SM_ENTRY(ctx, {
        sm::not_single(sm::shape_of(X));
        return 0.0;
    });
}

SM_API int64_t sm_nrow(sm_ctx*, sm_matrix* X) { return X->rows; }
SM_API int64_t sm_ncol(sm_ctx*, sm_matrix* X) { return X->cols; }
SM_API int64_t sm_length(sm_ctx*, sm_matrix* X) { return X->rows * X->cols; }
