// Matrix products: with a vector, tiny ones, and what picks the function for the formats of the factors.
#include "linalg_product.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "context.h"
#include "fit.h"
#include "linalg_gemm.h"
#include "simd_rows.h"

namespace sm {
namespace {

// Vectors of 64 bytes: products are added up in the type of the cells along a strip or a few rows, and those sums in f64.
template <class T>
using Lanes = std::conditional_t<sizeof(T) == 4, f16, v8>;
template <class T>
constexpr int64_t kLanes = 64 / sizeof(T);
typedef int64_t i8 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, i16, i8>;

constexpr int64_t kLongRow = 2048;   // bytes
constexpr int64_t kStrip = 1 << 12;  // cells of a row

SM_INLINE double sum(v8 v) { return sum8(v); }
SM_INLINE double sum(f16 v) {
    f8 half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return sum8(__builtin_convertvector(half, v8));
}
template <class T>
SM_INLINE Lanes<T> lanes(const T* p) {
    Lanes<T> v;
    load(v, p);
    return v;
}
template <class T>
SM_INLINE void prefetch(const T* p, int64_t bytes) { __builtin_prefetch(reinterpret_cast<const char*>(p) + bytes); }

// out[0..R) = A v for R rows, which are read side by side. `last` has the cells of a vector at the end of a row that are in no
// other one.
template <class T, int R>
SM_INLINE void few_rows_times(const T* a, int64_t lda, int64_t cols, const T* v, Bits<T> last, T* out) {
    constexpr int64_t N = kLanes<T>;
    const int64_t ahead = cols * int64_t(sizeof(T)) < kLongRow ? 4096 : 1024;  // into rows to come, or further right
    double total[R] = {};
    for (int64_t j = 0; j < cols;) {
        int64_t end = sizeof(T) == 4 ? std::min(cols, j + kStrip) : cols;
        Lanes<T> s[R][2] = {};
        for (; j + 2 * N <= end; j += 2 * N)
#pragma GCC unroll 4
            for (int i = 0; i < R; i++) {
                const T* r = a + i * lda + j;
                prefetch(r, ahead), prefetch(r, ahead + 64);
                s[i][0] += lanes(r) * lanes(v + j);
                s[i][1] += lanes(r + N) * lanes(v + j + N);
            }
        if (j + N <= end) {
#pragma GCC unroll 4
            for (int i = 0; i < R; i++) s[i][0] += lanes(a + i * lda + j) * lanes(v + j);
            j += N;
        }
        if (j < end) {
#pragma GCC unroll 4
            for (int i = 0; i < R; i++) s[i][1] += (Lanes<T>)((Bits<T>)(lanes(a + i * lda + end - N) * lanes(v + end - N)) & last);
            j = end;
        }
#pragma GCC unroll 4
        for (int i = 0; i < R; i++) total[i] += sum(s[i][0] + s[i][1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) out[i] = T(total[i]);
}

// out[0..rows) = A v, for rows of one vector at least.
template <class T>
SM_INLINE void rows_times(const T* a, int64_t lda, int64_t rows, int64_t cols, const T* v, T* out) {
    Bits<T> last;
    for (int64_t l = 0; l < kLanes<T>; l++) last[l] = l < kLanes<T> - cols % kLanes<T> ? 0 : -1;
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) few_rows_times<T, 4>(a + i * lda, lda, cols, v, last, out + i);
    for (; i < rows; i++) few_rows_times<T, 1>(a + i * lda, lda, cols, v, last, out + i);
}

SM_CLONES void rows_times_vector(const double* a, int64_t lda, int64_t rows, int64_t cols, const double* v, double* out) { rows_times(a, lda, rows, cols, v, out); }
SM_CLONES void rows_times_vector(const float* a, int64_t lda, int64_t rows, int64_t cols, const float* v, float* out) { rows_times(a, lda, rows, cols, v, out); }

SM_INLINE void add_lanes(double* out, v8 s) { store8(out, load8(out) + s); }
SM_INLINE void add_lanes(double* out, f16 s) {
    float cells[16];
    store(cells, s);
    store8(out, load8(out) + load8(cells));
    store8(out + 8, load8(out + 8) + load8(cells + 8));
}

// out[0..cols) += t(A) v over `rows` rows.
template <class T>
SM_INLINE void times_rows(const T* a, int64_t lda, int64_t rows, int64_t cols, const T* v, double* out) {
    constexpr int64_t N = kLanes<T>;
    const int64_t ahead = cols * int64_t(sizeof(T)) < kLongRow ? 8 * lda * int64_t(sizeof(T)) : 1024;  // the next rows, or further right
    int64_t i = 0;
    for (; i + 8 <= rows; i += 8) {
        const T* r = a + i * lda;
        const T* w = v + i;
        int64_t j = 0;
        for (; j + N <= cols; j += N) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) prefetch(r + k * lda + j, ahead);
            Lanes<T> s = lanes(r + j) * w[0];
#pragma GCC unroll 8
            for (int k = 1; k < 8; k++) s += lanes(r + k * lda + j) * w[k];
            add_lanes(out + j, s);
        }
        for (; j + 8 <= cols; j += 8) {  // half a vector of f32
            v8 s = load8(r + j) * double(w[0]);
#pragma GCC unroll 8
            for (int k = 1; k < 8; k++) s += load8(r + k * lda + j) * double(w[k]);
            store8(out + j, load8(out + j) + s);
        }
        for (; j < cols; j++) {
            T s = r[j] * w[0];
#pragma GCC unroll 8
            for (int k = 1; k < 8; k++) s += r[k * lda + j] * w[k];
            out[j] += s;
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

// Straight loops for products too small to be worth packing.
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

// Long stretches keep the streams of a thread at full speed.
int64_t task_cells(int64_t cells) { return cells < 1 << 18 ? kGrain : std::clamp<int64_t>(cells / 16, 1 << 17, 1 << 19); }

template <class T>
Matrix times_column(sm_ctx* ctx, const sm_matrix* a, bool ta, const T* v) {
    int64_t m = ta ? a->cols : a->rows;
    if (!ta) {
        Matrix r = new_dense(ctx, m, 1, element_of<T>);
        T* out = values<T>(r.get());
        int64_t block = std::max<int64_t>(task_cells(m * a->cols) / a->cols, 4) / 4 * 4;
        parallel_chunks(ctx, m, block, [&](int64_t r0, int64_t r1) { rows_times_vector(row<T>(a, r0), a->cols, r1 - r0, a->cols, v, out + r0); });
        return r;
    }
    // Partial results by fixed row blocks, added in order.
    int64_t cols = a->cols;
    int64_t block = std::max<int64_t>({1, task_cells(a->rows * cols) / std::max<int64_t>(cols, 1), (a->rows + 63) / 64});
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
    if (m == 1 && n > 1) {  // t(t(b) t(a)): the same cells
        Matrix r = product<T>(ctx, b, !tb, a, !ta);
        r->rows = 1;
        r->cols = n;
        return r;
    }
    if (n == 1 && (ta || k >= kLanes<T>)) return times_column(ctx, a, ta, values<T>(b));
    if (m * n * k <= 512) {
        Matrix r = new_dense(ctx, m, n, element_of<T>);
        tiny_product(values<T>(a), ta ? 1 : a->cols, ta ? a->cols : 1, values<T>(b), tb ? 1 : b->cols, tb ? b->cols : 1, values<T>(r.get()), m, n, k);
        return r;
    }
    Matrix r = new_dense(ctx, m, n, element_of<T>);
    multiply<T>(ctx, {m, n, k, {values<T>(a), a->cols, !ta}, {values<T>(b), b->cols, tb}, values<T>(r.get()), n, false, false});
    return r;
}

template <class T>
std::vector<Matrix> products(sm_ctx* ctx, const sm_matrix* a, bool ta, const std::vector<sm_matrix*>& rights, bool tb) {
    std::vector<Matrix> made;
    std::vector<Product<T>> shared;
    int64_t m = ta ? a->cols : a->rows, k = ta ? a->rows : a->cols;
    for (const sm_matrix* b : rights) {
        int64_t n = tb ? b->rows : b->cols;
        if (m == 1 || n == 1 || m * n * k <= 512) {
            made.push_back(product<T>(ctx, a, ta, b, tb));
        } else {
            made.push_back(new_dense(ctx, m, n, element_of<T>));
            shared.push_back({m, n, k, {values<T>(a), a->cols, !ta}, {values<T>(b), b->cols, tb}, values<T>(made.back().get()), n, false, false});
        }
    }
    if (!shared.empty()) multiply_shared(ctx, shared);
    return made;
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

std::vector<Matrix> products_dense(sm_ctx* ctx, const sm_matrix* a, bool ta, const std::vector<sm_matrix*>& rights, bool tb) {
    return with_element(a, [&](auto type) { return products<decltype(type)>(ctx, a, ta, rights, tb); });
}

Matrix self_product_dense(sm_ctx* ctx, const sm_matrix* x) {
    return with_element(x, [&](auto type) { return self_product<decltype(type)>(ctx, x); });
}

void mirror(sm_ctx* ctx, double* c, int64_t n) { mirror_cells(ctx, c, n); }

// Of a CSR factor without entries: nothing is computed.
Matrix empty_product(sm_ctx* ctx, const sm_matrix* a, bool ta, const sm_matrix* b, bool tb) {
    int64_t m = ta ? a->cols : a->rows, n = tb ? b->rows : b->cols;
    bool sparse = (fills_memory(m, n, a->elem) || (is_csr(a) && is_csr(b))) && better_csr(m, n, 0, a->elem);
    return sparse ? new_csr_empty(ctx, m, n, a->elem) : new_dense_zero(ctx, m, n, a->elem);
}

}  // namespace sm

using namespace sm;

namespace {

void require_factors(const sm_matrix* A, bool ta, const sm_matrix* B, bool tb) {
    int64_t inner = ta ? A->rows : A->cols, inner2 = tb ? B->cols : B->rows;
    if (inner != inner2) product_misfit(shape_of(A), ta, shape_of(B), tb);
    if (A->elem != B->elem) fail("internal error: the factors of a product have different elements");
}

Matrix product_of(sm_ctx* ctx, sm_matrix* A, bool ta, sm_matrix* B, bool tb) {
    if ((is_csr(A) && A->nnz == 0) || (is_csr(B) && B->nnz == 0)) return empty_product(ctx, A, ta, B, tb);
    // Transposes of CSR operands are made; a result may be stored dense when that is smaller.
    Matrix b = Matrix::borrow(B);
    Matrix a = Matrix::borrow(A);
    const bool huge = fills_memory(ta ? A->cols : A->rows, tb ? B->rows : B->cols, A->elem);
    if (huge) a = to_csr(ctx, A), b = to_csr(ctx, B);  // there may be zeros
    if (tb && is_csr(b.get())) b = Matrix(sm_t(ctx, b.get())), tb = false;
    if (ta && is_csr(a.get()) && is_dense(b.get()) && !tb) return product_csr_transposed_dense(ctx, a.get(), b.get());
    if (ta && is_csr(a.get())) a = Matrix(sm_t(ctx, a.get())), ta = false;
    if (huge) return product_csr_csr(ctx, to_csr(ctx, a.get()).get(), to_csr(ctx, b.get()).get());
    if (is_dense(a.get()) && is_dense(b.get())) return product_dense(ctx, a.get(), ta, b.get(), tb);
    if (tb) b = Matrix(sm_t(ctx, b.get()));
    if (ta) a = Matrix(sm_t(ctx, a.get()));
    if (is_dense(a.get())) return product_dense_csr(ctx, a.get(), b.get());
    return is_dense(b.get()) ? product_csr_dense(ctx, a.get(), b.get()) : product_csr_csr(ctx, a.get(), b.get());
}

}  // namespace

// `transpose` holds "l" and/or "r" for operands that are used transposed.
SM_API sm_matrix* sm_matmul(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, const char* transpose) {
    return SM_ENTRY(ctx, {
        bool ta = std::strchr(transpose, 'l'), tb = std::strchr(transpose, 'r');
        require_factors(A, ta, B, tb);
        return product_of(ctx, A, ta, B, tb).take();
    });
}

// The products of A with each of n matrices.
SM_API void sm_matmul_shared(sm_ctx* ctx, sm_matrix* A, int64_t n, sm_matrix** B, const char* transpose, sm_matrix*** results) {
    SM_ENTRY(ctx, {
        bool ta = std::strchr(transpose, 'l'), tb = std::strchr(transpose, 'r');
        for (int64_t i = 0; i < n; i++) require_factors(A, ta, B[i], tb);
        bool dense = is_dense(A);
        for (int64_t i = 0; i < n; i++) dense = dense && is_dense(B[i]) && !fills_memory(ta ? A->cols : A->rows, tb ? B[i]->rows : B[i]->cols, A->elem);
        std::vector<Matrix> made;
        if (dense) made = products_dense(ctx, A, ta, {B, B + n}, tb);
        for (int64_t i = 0; !dense && i < n; i++) made.push_back(product_of(ctx, A, ta, B[i], tb));
        for (int64_t i = 0; i < n; i++) *results[i] = made[size_t(i)].take();
    });
}

SM_API sm_matrix* sm_tsmm(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, {
        if (is_csr(X) && X->nnz == 0) return empty_product(ctx, X, true, X, false).take();
        return (is_dense(X) ? self_product_dense(ctx, X) : self_product_csr(ctx, X)).take();
    });
}
