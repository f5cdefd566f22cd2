// Matrix products: with a vector, tiny ones, and what picks the function for the formats of the factors.
#include "linalg_product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "linalg_gemm.h"
#include "simd_rows.h"

namespace sm {
namespace {

constexpr int64_t kAhead = 512;   // cells: 4 KiB ahead keeps one stream at full bandwidth
constexpr int64_t kLongRow = 256;

SM_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }

// out[0..rows) = A v, row by row: long rows one at a time, as one stream; short ones four at a time. Sums are f64.
template <class T>
SM_INLINE void rows_times(const T* a, int64_t lda, int64_t rows, int64_t cols, const T* v, T* out) {
    int64_t i = 0;
    for (; cols < kLongRow && i + 4 <= rows; i += 4) {
        const T *a0 = a + i * lda, *a1 = a0 + lda, *a2 = a1 + lda, *a3 = a2 + lda;
        v8 s0 = zero8(), s1 = zero8(), s2 = zero8(), s3 = zero8();
        int64_t j = 0;
        for (; j + 8 <= cols; j += 8) {
            const T* next = a0 + 4 * j + kAhead;  // the four rows are one stretch of memory
            prefetch(next), prefetch(next + 8), prefetch(next + 16), prefetch(next + 24);
            v8 x = load8(v + j);
            s0 += load8(a0 + j) * x;
            s1 += load8(a1 + j) * x;
            s2 += load8(a2 + j) * x;
            s3 += load8(a3 + j) * x;
        }
        double r0 = sum8(s0), r1 = sum8(s1), r2 = sum8(s2), r3 = sum8(s3);
        for (; j < cols; j++) {
            r0 += double(a0[j]) * v[j];
            r1 += double(a1[j]) * v[j];
            r2 += double(a2[j]) * v[j];
            r3 += double(a3[j]) * v[j];
        }
        out[i] = T(r0);
        out[i + 1] = T(r1);
        out[i + 2] = T(r2);
        out[i + 3] = T(r3);
    }
    for (; i < rows; i++) {
        const T* r = a + i * lda;
        v8 s0 = zero8(), s1 = zero8(), s2 = zero8(), s3 = zero8();
        int64_t j = 0;
        for (; cols >= kLongRow && j + 32 <= cols; j += 32) {
            prefetch(r + j + kAhead), prefetch(r + j + kAhead + 8), prefetch(r + j + kAhead + 16), prefetch(r + j + kAhead + 24);
            s0 += load8(r + j) * load8(v + j);
            s1 += load8(r + j + 8) * load8(v + j + 8);
            s2 += load8(r + j + 16) * load8(v + j + 16);
            s3 += load8(r + j + 24) * load8(v + j + 24);
        }
        for (; j + 8 <= cols; j += 8) s0 += load8(r + j) * load8(v + j);
        double sum = sum8((s0 + s2) + (s1 + s3));
        for (; j < cols; j++) sum += double(r[j]) * v[j];
        out[i] = T(sum);
    }
}

SM_CLONES void rows_times_vector(const double* a, int64_t lda, int64_t rows, int64_t cols, const double* v, double* out) { rows_times(a, lda, rows, cols, v, out); }
SM_CLONES void rows_times_vector(const float* a, int64_t lda, int64_t rows, int64_t cols, const float* v, float* out) { rows_times(a, lda, rows, cols, v, out); }

// out[0..cols) += t(A) v over `rows` rows.
template <class T>
SM_INLINE void times_rows(const T* a, int64_t lda, int64_t rows, int64_t cols, const T* v, double* out) {
    int64_t i = 0;
    for (; i + 8 <= rows; i += 8) {
        const T* r = a + i * lda;
        double w0 = v[i], w1 = v[i + 1], w2 = v[i + 2], w3 = v[i + 3], w4 = v[i + 4], w5 = v[i + 5], w6 = v[i + 6], w7 = v[i + 7];
        const T* next = r + (cols < kLongRow ? 8 * lda : kAhead / 4);  // the next rows, or further right in these
        int64_t j = 0;
        for (; j + 8 <= cols; j += 8) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) prefetch(next + k * lda + j);
            v8 s = load8(out + j);
            s += load8(r + j) * w0;
            s += load8(r + lda + j) * w1;
            s += load8(r + 2 * lda + j) * w2;
            s += load8(r + 3 * lda + j) * w3;
            s += load8(r + 4 * lda + j) * w4;
            s += load8(r + 5 * lda + j) * w5;
            s += load8(r + 6 * lda + j) * w6;
            s += load8(r + 7 * lda + j) * w7;
            store8(out + j, s);
        }
        for (; j < cols; j++) {
            double s = out[j];
            s += r[j] * w0;
            s += r[lda + j] * w1;
            s += r[2 * lda + j] * w2;
            s += r[3 * lda + j] * w3;
            s += r[4 * lda + j] * w4;
            s += r[5 * lda + j] * w5;
            s += r[6 * lda + j] * w6;
            s += r[7 * lda + j] * w7;
            out[j] = s;
        }
    }
    for (; i < rows; i++) {
        const T* r = a + i * lda;
        double w = v[i];
        for (int64_t j = 0; j < cols; j++) out[j] += r[j] * w;
    }
}

SM_CLONES void vector_times_rows(const double* a, int64_t lda, int64_t rows, int64_t cols, const double* v, double* out) { times_rows(a, lda, rows, cols, v, out); }
SM_CLONES void vector_times_rows(const float* a, int64_t lda, int64_t rows, int64_t cols, const float* v, double* out) { times_rows(a, lda, rows, cols, v, out); }

// Straight loops for products too small to be worth a library call (and a library).
template <class T>
void tiny_product(const T* a, int64_t ars, int64_t acs, const T* b, int64_t brs, int64_t bcs, T* c, int64_t m, int64_t n, int64_t k) {
    std::memset(c, 0, static_cast<size_t>(m * n) * sizeof(T));
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) {
            T w = a[i * ars + p * acs];
            const T* r = b + p * brs;
            T* out = c + i * n;
            if (bcs == 1)
                for (int64_t j = 0; j < n; j++) out[j] += w * r[j];
            else
                for (int64_t j = 0; j < n; j++) out[j] += w * r[j * bcs];
        }
}

template <class T>
Matrix times_column(sm_ctx* ctx, const sm_matrix* a, bool ta, const T* v) {
    int64_t m = ta ? a->cols : a->rows;
    if (!ta) {
        Matrix r = new_dense(ctx, m, 1, element_of<T>);
        T* out = values<T>(r.get());
        int64_t block = std::max<int64_t>((m * a->cols < (1 << 18) ? kGrain : 1 << 17) / a->cols, 4) / 4 * 4;
        parallel_chunks(ctx, m, block, [&](int64_t r0, int64_t r1) { rows_times_vector(row<T>(a, r0), a->cols, r1 - r0, a->cols, v, out + r0); });
        return r;
    }
    // Partial results by fixed row blocks, added in order.
    int64_t cols = a->cols;
    int64_t block = std::max<int64_t>({1, (1 << 18) / std::max<int64_t>(cols, 1), (a->rows + 63) / 64});
    block = (block + 7) / 8 * 8;
    int64_t n = std::max<int64_t>(1, (a->rows + block - 1) / block);
    Matrix r = new_dense_zero(ctx, cols, 1, element_of<T>);
    r->nnz = -1;
    double* whole = nullptr;  // where f64 sums may go at once
    if constexpr (sizeof(T) == sizeof(double)) whole = values(r.get());
    bool split = n > 1 || !whole;
    std::vector<double> partial(static_cast<size_t>(split ? n * cols : 0));
    parallel_for(ctx, n, [&](int64_t t) {
        double* out = split ? partial.data() + t * cols : whole;
        int64_t r0 = t * block, r1 = std::min(a->rows, r0 + block);
        vector_times_rows(row<T>(a, r0), cols, r1 - r0, cols, v + r0, out);
    });
    if (!split) return r;
    double* sums = whole ? whole : partial.data();
    for (int64_t t = whole ? 0 : 1; t < n; t++) add_into(sums, partial.data() + t * cols, cols);
    for (int64_t j = 0; !whole && j < cols; j++) values<T>(r.get())[j] = T(sums[j]);
    return r;
}

}  // namespace

SM_CLONES void add_into(double* out, const double* x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += x[i];
}
SM_CLONES void add_into(float* out, const float* x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += x[i];
}

namespace {

template <class T>
Matrix product(sm_ctx* ctx, const sm_matrix* a, bool ta, const sm_matrix* b, bool tb) {
    int64_t m = ta ? a->cols : a->rows, k = ta ? a->rows : a->cols, n = tb ? b->rows : b->cols;
    if (m == 0 || n == 0 || k == 0) return new_dense_zero(ctx, m, n, element_of<T>);
    if (n == 1) return times_column(ctx, a, ta, values<T>(b));
    if (m == 1) {  // t(t(b) a): the same cells
        Matrix r = times_column(ctx, b, !tb, values<T>(a));
        r->rows = 1;
        r->cols = n;
        return r;
    }
    if (m * n * k <= 512) {
        Matrix r = new_dense(ctx, m, n, element_of<T>);
        tiny_product(values<T>(a), ta ? 1 : a->cols, ta ? a->cols : 1, values<T>(b), tb ? 1 : b->cols, tb ? b->cols : 1, values<T>(r.get()), m, n, k);
        return r;
    }
    Matrix r = new_dense(ctx, m, n, element_of<T>);
    multiply<T>(ctx, {m, n, k, {values<T>(a), a->cols, !ta}, {values<T>(b), b->cols, tb}, values<T>(r.get()), n, false, false});
    return r;
}

// Copies the upper triangle to the lower one, by tiles that fit into the first cache.
template <class T>
void mirror_cells(sm_ctx* ctx, T* c, int64_t n) {
    constexpr int64_t kTile = 32;
    parallel_chunks(ctx, n, kTile, [&](int64_t i0, int64_t i1) {
        for (int64_t j0 = 0; j0 < i1; j0 += kTile)
            for (int64_t i = i0; i < i1; i++)
                for (int64_t j = j0; j < std::min(j0 + kTile, i); j++) c[i * n + j] = c[j * n + i];
    });
}

template <class T>
Matrix self_product(sm_ctx* ctx, const sm_matrix* x) {
    int64_t n = x->cols, k = x->rows;
    if (n == 0 || k == 0) return new_dense_zero(ctx, n, n, element_of<T>);
    if (n == 1 || n * n * k <= 512) return product<T>(ctx, x, true, x, false);
    Matrix r = new_dense(ctx, n, n, element_of<T>);
    Operand<T> rows{values<T>(x), n, false};
    multiply<T>(ctx, {n, n, k, rows, rows, values<T>(r.get()), n, false, true});
    mirror_cells(ctx, values<T>(r.get()), n);
    return r;
}

}  // namespace

Matrix product_dense(sm_ctx* ctx, const sm_matrix* a, bool ta, const sm_matrix* b, bool tb) {
    return with_element(a, [&](auto type) { return product<decltype(type)>(ctx, a, ta, b, tb); });
}

Matrix self_product_dense(sm_ctx* ctx, const sm_matrix* x) {
    return with_element(x, [&](auto type) { return self_product<decltype(type)>(ctx, x); });
}

void mirror(sm_ctx* ctx, double* c, int64_t n) { mirror_cells(ctx, c, n); }

// Of a CSR factor without entries: nothing is computed.
Matrix empty_product(sm_ctx* ctx, const sm_matrix* a, bool ta, const sm_matrix* b, bool tb) {
    int64_t m = ta ? a->cols : a->rows, n = tb ? b->rows : b->cols;
    bool sparse = is_csr(a) && is_csr(b) && better_csr(m, n, 0, a->elem);
    return sparse ? new_csr_empty(ctx, m, n, a->elem) : new_dense_zero(ctx, m, n, a->elem);
}

}  // namespace sm

using namespace sm;

// `transpose` holds "l" and/or "r" for operands that are used transposed.
SM_API sm_matrix* sm_matmul(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, const char* transpose) {
    return SM_ENTRY(ctx, {
        bool ta = std::strchr(transpose, 'l'), tb = std::strchr(transpose, 'r');
        int64_t inner = ta ? A->rows : A->cols, inner2 = tb ? B->cols : B->rows;
        if (inner != inner2)
            fail("inner dimensions of the matrix product differ: %s%s %%*%% %s%s", shape(A).c_str(), ta ? " transposed" : "", shape(B).c_str(),
                 tb ? " transposed" : "");
        if (A->elem != B->elem) fail("internal error: the factors of a product have different elements");
        if ((is_csr(A) && A->nnz == 0) || (is_csr(B) && B->nnz == 0)) return empty_product(ctx, A, ta, B, tb).take();
        // Transposes of CSR operands are made; a result may be stored dense when that is smaller.
        Matrix b = Matrix::borrow(B);
        if (tb && is_csr(B)) b = Matrix(sm_t(ctx, B)), tb = false;
        Matrix a = Matrix::borrow(A);
        if (ta && is_csr(A) && is_dense(b.get()) && !tb) return product_csr_transposed_dense(ctx, A, b.get()).take();
        if (ta && is_csr(A)) a = Matrix(sm_t(ctx, A)), ta = false;
        if (is_dense(a.get()) && is_dense(b.get())) return product_dense(ctx, a.get(), ta, b.get(), tb).take();
        if (tb) b = Matrix(sm_t(ctx, b.get()));
        if (ta) a = Matrix(sm_t(ctx, a.get()));
        if (is_dense(a.get())) return product_dense_csr(ctx, a.get(), b.get()).take();
        return (is_dense(b.get()) ? product_csr_dense(ctx, a.get(), b.get()) : product_csr_csr(ctx, a.get(), b.get())).take();
    });
}

SM_API sm_matrix* sm_tsmm(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, {
        if (is_csr(X) && X->nnz == 0) return empty_product(ctx, X, true, X, false).take();
        return (is_dense(X) ? self_product_dense(ctx, X) : self_product_csr(ctx, X)).take();
    });
}
