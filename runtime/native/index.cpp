// Reading and writing parts of matrices. Bounds are 1-based and inclusive, as in the language.
#include "edit.h"

#include <string.h>

#include <algorithm>
#include <vector>

namespace sm {

std::pair<int64_t, int64_t> columns(const sm_matrix* X, int64_t i, int64_t c0, int64_t c1) {
    const int32_t *b = X->colidx + X->rowptr[i], *e = X->colidx + X->rowptr[i + 1];
    return {std::lower_bound(b, e, c0) - X->colidx, std::lower_bound(b, e, c1) - X->colidx};
}

namespace {

[[noreturn]] void out_of_range(const char* what, int64_t index, int64_t extent) {
    if (index < 1) fail("%s index %lld is out of range: indexes start at 1", what, (long long)index);
    fail("%s index %lld is out of range: the matrix has %lld %s%s", what, (long long)index, (long long)extent, what, extent == 1 ? "" : "s");
}

// An empty range is legal only where it is the whole of an empty side (1:0).
void check_range(const char* what, int64_t lower, int64_t upper, int64_t extent) {
    if (lower == 1 && upper == 0 && extent == 0) return;
    if (lower < 1 || lower > extent) out_of_range(what, lower, extent);
    if (upper < 1 || upper > extent) out_of_range(what, upper, extent);
    if (lower > upper) fail("%s range %lld:%lld is empty", what, (long long)lower, (long long)upper);
}

void check_cell(const sm_matrix* X, int64_t i, int64_t j) {
    if (i < 1 || i > X->rows) out_of_range("row", i, X->rows);
    if (j < 1 || j > X->cols) out_of_range("column", j, X->cols);
}

struct Range {
    int64_t r0, r1, c0, c1;  // 0-based, half open
    int64_t rows() const { return r1 - r0; }
    int64_t cols() const { return c1 - c0; }
};

Range range(const sm_matrix* X, int64_t rl, int64_t ru, int64_t cl, int64_t cu) {
    check_range("row", rl, ru, X->rows);
    check_range("column", cl, cu, X->cols);
    return {rl - 1, ru, cl - 1, cu};
}

template <class T>
Matrix index_csr(sm_ctx* ctx, sm_matrix* X, const Range& g) {
    if (g.cols() == 1) {
        Matrix r = new_dense(ctx, g.rows(), 1, X->elem);
        parallel_rows(ctx, g.rows(), 8, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) values<T>(r.get())[i] = static_cast<T>(csr_cell(X, g.r0 + i, g.c0));
        });
        return r;
    }
    int64_t work = X->rows > 0 ? X->nnz / X->rows + 8 : 8;
    std::vector<int64_t> starts(size_t(g.rows()) + 1, 0);
    parallel_rows(ctx, g.rows(), 8, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            auto [p, q] = columns(X, g.r0 + i, g.c0, g.c1);
            starts[size_t(i) + 1] = q - p;
        }
    });
    for (size_t i = 1; i < starts.size(); i++) starts[i] += starts[i - 1];
    int64_t nnz = starts.back();
    if (!better_csr(g.rows(), g.cols(), nnz, X->elem)) {
        Matrix r = new_dense_zero(ctx, g.rows(), g.cols(), X->elem);
        parallel_rows(ctx, g.rows(), work, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) {
                auto [p, q] = columns(X, g.r0 + i, g.c0, g.c1);
                for (; p < q; p++) row<T>(r.get(), i)[X->colidx[p] - g.c0] = values<T>(X)[p];
            }
        });
        r->nnz = nnz;
        return r;
    }
    Matrix r = new_csr(ctx, g.rows(), g.cols(), nnz, X->elem);
    memcpy(r->rowptr, starts.data(), starts.size() * 8);
    parallel_rows(ctx, g.rows(), work, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            auto [p, q] = columns(X, g.r0 + i, g.c0, g.c1);
            int64_t o = starts[size_t(i)];
            memcpy(values<T>(r.get()) + o, values<T>(X) + p, size_t(q - p) * sizeof(T));
            for (; p < q; p++) r->colidx[o++] = int32_t(X->colidx[p] - g.c0);
        }
    });
    return r;
}

template <class T>
void copy_block(sm_ctx* ctx, const T* from, int64_t from_rs, T* to, int64_t to_rs, int64_t rows, int64_t cols) {
    if (from_rs == cols && to_rs == cols) cols *= rows, rows = 1;
    if (rows == 1)
        return parallel_chunks(ctx, cols, 1 << 17, [&](int64_t b, int64_t e) { memcpy(to + b, from + b, size_t(e - b) * sizeof(T)); });
    parallel_rows(ctx, rows, cols, [&](int64_t b, int64_t e) {
        if (cols == 1)
            for (int64_t i = b; i < e; i++) to[i * to_rs] = from[i * from_rs];
        else
            for (int64_t i = b; i < e; i++) memcpy(to + i * to_rs, from + i * from_rs, size_t(cols) * sizeof(T));
    });
}

// X with the range replaced by V, both CSR.
template <class T>
Matrix splice(sm_ctx* ctx, const sm_matrix* X, const sm_matrix* V, const Range& g) {
    int64_t removed = 0;
    for (int64_t i = g.r0; i < g.r1; i++) {
        auto [p, q] = columns(X, i, g.c0, g.c1);
        removed += q - p;
    }
    Matrix r = new_csr(ctx, X->rows, X->cols, X->nnz - removed + V->nnz, X->elem);
    int64_t o = 0;
    auto put = [&](const sm_matrix* from, int64_t p, int64_t q, int64_t shift) {
        memcpy(values<T>(r.get()) + o, values<T>(from) + p, size_t(q - p) * sizeof(T));
        for (; p < q; p++) r->colidx[o++] = int32_t(from->colidx[p] + shift);
    };
    for (int64_t i = 0; i < X->rows; i++) {
        int64_t begin = X->rowptr[i], end = X->rowptr[i + 1];
        if (i < g.r0 || i >= g.r1) {
            put(X, begin, end, 0);
        } else {
            auto [p, q] = columns(X, i, g.c0, g.c1);
            put(X, begin, p, 0);
            put(V, V->rowptr[i - g.r0], V->rowptr[i - g.r0 + 1], g.c0);
            put(X, q, end, 0);
        }
        r->rowptr[i + 1] = o;
    }
    return r;
}

// The consumed X as a dense matrix that may be written.
Matrix writable(sm_ctx* ctx, Matrix X) {
    if (is_csr(X.get())) return to_dense(ctx, X.get());
    return reusable(X.get()) ? X : copy(ctx, X.get());
}

// Whether to edit rows: where their changes are few, or it happens again. A splice that was not worth it opens the edits for that.
bool edits_pay(const sm_matrix* X, const Range& g, int64_t added) {
    return reusable(X) && (X->edits || 8 * (g.rows() + added) < X->rows + X->nnz);
}

template <class T>
Matrix left_index(sm_ctx* ctx, Matrix X, sm_matrix* V, const Range& g) {
    if (V->rows != g.rows() || V->cols != g.cols())
        fail("the range has shape %lldx%lld, but the right side is %s", (long long)g.rows(), (long long)g.cols(), shape(V).c_str());
    if (is_csr(X.get()) && better_csr(X->rows, X->cols, X->nnz + (V->nnz >= 0 ? V->nnz : cells(V)), X->elem)) {
        if (edits_pay(X.get(), g, V->nnz >= 0 ? V->nnz : cells(V))) {
            for (int64_t i = g.r0; i < g.r1; i++) edit_row(ctx, X.get(), i, g.c0, g.c1, V, i - g.r0);
            return X;
        }
        settle(ctx, X.get());
        Matrix sparse_value = to_csr(ctx, V);
        Matrix r = splice<T>(ctx, X.get(), sparse_value.get(), g);
        open_edits(r.get());
        return r;
    }
    settle(ctx, X.get());
    X = writable(ctx, std::move(X));
    X->nnz = -1;
    if (is_csr(V)) {
        parallel_rows(ctx, V->rows, V->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++) {
                T* out = std::fill_n(row<T>(X.get(), g.r0 + i) + g.c0, V->cols, T(0)) - V->cols;
                for (int64_t p = V->rowptr[i]; p < V->rowptr[i + 1]; p++) out[V->colidx[p]] = values<T>(V)[p];
            }
        });
        return X;
    }
    copy_block(ctx, values<T>(V), V->cols, row<T>(X.get(), g.r0) + g.c0, X->cols, g.rows(), g.cols());
    return X;
}

template <class T>
Matrix set_cell(sm_ctx* ctx, Matrix X, T value, int64_t i, int64_t j) {
    if (is_csr(X.get())) {
        if (!reusable(X.get())) {
            settle(ctx, X.get());
            X = copy(ctx, X.get());
        }
        auto [p, q] = X->edits ? std::pair<int64_t, int64_t>() : columns(X.get(), i - 1, j - 1, j);
        if (p < q && value != 0) values<T>(X.get())[p] = value;
        else edit_cell(ctx, X.get(), i - 1, j - 1, double(value));
        if (better_csr(X->rows, X->cols, X->nnz, X->elem)) return X;
        settle(ctx, X.get());
        return to_dense(ctx, X.get());
    }
    X = writable(ctx, std::move(X));
    X->nnz = -1;
    row<T>(X.get(), i - 1)[j - 1] = value;
    return X;
}

}  // namespace
}  // namespace sm

using sm::Matrix;

// With `view`, cells that lie side by side in X are not copied: the result keeps X and looks into it.
SM_API sm_matrix* sm_index(sm_ctx* ctx, sm_matrix* X, int64_t rl, int64_t ru, int64_t cl, int64_t cu, int32_t view) {
    return SM_ENTRY(ctx, {
        sm::Range g = sm::range(X, rl, ru, cl, cu);
        bool whole = g.rows() == X->rows && g.cols() == X->cols;
        if (X->edits && !whole && g.rows() * 8 < X->rows) return sm::edited_rows(ctx, X, g.r0, g.r1, g.c0, g.c1).take();
        sm::settle(ctx, X);
        if (whole) return Matrix::borrow(X).take();
        return sm::with_element(X, [&](auto type) {
            using T = decltype(type);
            if (sm::is_csr(X)) return sm::index_csr<T>(ctx, X, g);
            if (view && (g.cols() == X->cols || g.rows() == 1)) return sm::look_into(ctx, X, g.r0 * X->cols + g.c0, g.rows(), g.cols());
            Matrix r = sm::new_dense(ctx, g.rows(), g.cols(), X->elem);
            sm::copy_block(ctx, sm::row<T>(X, g.r0) + g.c0, X->cols, sm::values<T>(r.get()), g.cols(), g.rows(), g.cols());
            return r;
        }).take();
    });
}

SM_API sm_matrix* sm_left_index(sm_ctx* ctx, sm_matrix* X, sm_matrix* rhs, int64_t rl, int64_t ru, int64_t cl, int64_t cu) {
    return SM_ENTRY(ctx, {
        Matrix owned(X);
        sm::Range g = sm::range(X, rl, ru, cl, cu);
        return sm::with_element(X, [&](auto type) { return sm::left_index<decltype(type)>(ctx, std::move(owned), rhs, g); }).take();
    });
}

SM_API sm_matrix* sm_set_cell(sm_ctx* ctx, sm_matrix* X, double value, int64_t i, int64_t j) {
    if (__builtin_expect(uint64_t(i - 1) < uint64_t(X->rows) && uint64_t(j - 1) < uint64_t(X->cols) && sm::is_dense(X) && !sm::is_single(X) && sm::reusable(X), 1)) {
        sm::values(X)[(i - 1) * X->cols + (j - 1)] = value;
        X->nnz = -1;
        return X;
    }
    return SM_ENTRY(ctx, {
        Matrix owned(X);
        sm::check_cell(X, i, j);
        return sm::with_element(X, [&](auto type) { return sm::set_cell(ctx, std::move(owned), static_cast<decltype(type)>(value), i, j); }).take();
    });
}

SM_API double sm_get_cell(sm_ctx* ctx, sm_matrix* X, int64_t i, int64_t j) {
    if (__builtin_expect(uint64_t(i - 1) < uint64_t(X->rows) && uint64_t(j - 1) < uint64_t(X->cols), 1)) return sm::cell(X, i - 1, j - 1);
    return SM_ENTRY(ctx, {
        sm::check_cell(X, i, j);
        return 0.0;
    });
}
