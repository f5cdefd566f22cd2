// Matrix products with CSR operands: balanced over non-zeros, in blocks fixed by the matrices alone.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "linalg_product.h"
#include "linalg_sparse_vector.h"
#include "simd_rows.h"

namespace sm {

RowBlocks::RowBlocks(const sm_matrix* m, int64_t work_per_nnz) {
    int64_t per_block = std::max<int64_t>(1, (1 << 17) / std::max<int64_t>(work_per_nnz, 1));
    int64_t work = m->nnz + m->rows;  // an empty row costs something too
    n = std::max<int64_t>(1, std::min<int64_t>(256, work / per_block));
    bounds = new int64_t[n + 1];
    bounds[0] = 0;
    for (int64_t t = 1; t < n; t++) {
        int64_t goal = work * t / n, low = bounds[t - 1], high = m->rows;
        while (low < high) {
            int64_t mid = (low + high) / 2;
            if (m->rowptr[mid] + mid < goal)
                low = mid + 1;
            else
                high = mid;
        }
        bounds[t] = low;
    }
    bounds[n] = m->rows;
}

RowBlocks::~RowBlocks() { delete[] bounds; }

namespace {

// out = A B for rows [r0, r1) of A, with n columns of B.
template <class T>
SM_INLINE void times_dense(const int64_t* rp, const int32_t* ci, const T* val, const T* b, int64_t n, T* out, int64_t r0, int64_t r1) {
    for_strips<T>(n, [=](auto sum, int64_t j, int64_t last) __attribute__((always_inline)) {
        const int64_t known = rp[r1] - 1;
        for (int64_t i = r0; i < r1; i++) {
            sum = {};
            for (int64_t p = rp[i]; p < rp[i + 1]; p++) {
                __builtin_prefetch(b + int64_t(ci[std::min(p + 8, known)]) * n + j);
                sum.add(b + int64_t(ci[p]) * n + j, last, val[p]);
            }
            sum.store(out + i * n + j, last);
        }
    });
}

SM_CLONES void csr_rows_times_dense(const int64_t* rp, const int32_t* ci, const double* val, const double* b, int64_t n, double* out, int64_t r0,
                                    int64_t r1) {
    times_dense(rp, ci, val, b, n, out, r0, r1);
}
SM_CLONES void csr_rows_times_dense(const int64_t* rp, const int32_t* ci, const float* val, const float* b, int64_t n, float* out, int64_t r0,
                                    int64_t r1) {
    times_dense(rp, ci, val, b, n, out, r0, r1);
}

// out += t(A) B over rows [r0, r1) of A, with n columns of B. Sums over so many rows are f64.
template <class T>
SM_INLINE void scatter(const int64_t* rp, const int32_t* ci, const T* val, const T* b, int64_t n, double* out, int64_t r0, int64_t r1) {
    constexpr int64_t kRows = 128;  // whose non-zeros stay in the cache from strip to strip
    for (int64_t i0 = r0; i0 < r1; i0 += kRows)
        for_strips<double>(n, [=](auto x, int64_t j, int64_t last) __attribute__((always_inline)) {
            for (int64_t i = i0; i < std::min(r1, i0 + kRows); i++) {
                x.load(b + i * n + j, last);
                for (int64_t p = rp[i]; p < rp[i + 1]; p++) x.add_to(out + int64_t(ci[p]) * n + j, last, double(val[p]));
            }
        });
}

SM_CLONES void scatter_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* b, int64_t n, double* out, int64_t r0, int64_t r1) {
    scatter(rp, ci, val, b, n, out, r0, r1);
}
SM_CLONES void scatter_rows(const int64_t* rp, const int32_t* ci, const float* val, const float* b, int64_t n, double* out, int64_t r0, int64_t r1) {
    scatter(rp, ci, val, b, n, out, r0, r1);
}

constexpr int64_t kLanes = 8, kPacked = 512;
constexpr int64_t kPackedRows = 4096;  // of a dense left operand whose blocks of columns fit into a cache

// Columns [k0, k1) of `lanes` rows of A, one after the other, `stride` cells apart.
template <class T>
void pack_columns(const sm_matrix* a, int64_t i0, int64_t lanes, int64_t k0, int64_t k1, T* out, int64_t stride) {
    for (int64_t l0 = 0; l0 < lanes; l0 += kLanes)
        for (int64_t k = k0; k < k1; k++)
            for (int64_t l = l0; l < std::min(lanes, l0 + kLanes); l++) out[(k - k0) * stride + l] = row<T>(a, i0 + l)[k];
}

// acc[c][lane] += A[lane, k] * B[k, c] for the packed columns k of A.
template <class T>
SM_INLINE void add_to_lanes(const int64_t* rp, const int32_t* ci, const T* val, const T* packed, double* acc, int64_t k0, int64_t k1) {
    for (int64_t k = k0; k < k1; k++) {
        v8 x = load8(packed + (k - k0) * kLanes);
        for (int64_t p = rp[k]; p < rp[k + 1]; p++) {
            double* o = acc + int64_t(ci[p]) * kLanes;
            store8(o, load8(o) + x * double(val[p]));
        }
    }
}

SM_CLONES void add_products(const int64_t* rp, const int32_t* ci, const double* val, const double* packed, double* acc, int64_t k0, int64_t k1) {
    add_to_lanes(rp, ci, val, packed, acc, k0, k1);
}
SM_CLONES void add_products(const int64_t* rp, const int32_t* ci, const float* val, const float* packed, double* acc, int64_t k0, int64_t k1) {
    add_to_lanes(rp, ci, val, packed, acc, k0, k1);
}

constexpr int64_t kPartialCells = 1 << 22;

// Sum over fixed row blocks of f(block begin, block end, partial result), all f64.
template <class F>
Matrix sum_of_row_blocks(sm_ctx* ctx, const sm_matrix* a, int64_t rows, int64_t cols, F&& f) {
    Matrix r = new_dense_zero(ctx, rows, cols);
    r->nnz = -1;
    int64_t size = rows * cols;
    int64_t n = std::max<int64_t>(1, std::min<int64_t>({8, a->nnz / (1 << 16), kPartialCells / std::max<int64_t>(size, 1)}));
    Matrix partial = new_dense_zero(ctx, n - 1, size);
    parallel_for(ctx, n, [&](int64_t t) {
        int64_t r0 = std::lower_bound(a->rowptr, a->rowptr + a->rows, a->nnz * t / n) - a->rowptr;
        int64_t r1 = t + 1 == n ? a->rows : std::lower_bound(a->rowptr, a->rowptr + a->rows, a->nnz * (t + 1) / n) - a->rowptr;
        f(t ? r0 : 0, r1, t ? row(partial.get(), t - 1) : values(r.get()));
    });
    parallel_chunks(ctx, size, kGrain, [&](int64_t c0, int64_t c1) {
        for (int64_t t = 1; t < n; t++) add_into(values(r.get()) + c0, row(partial.get(), t - 1) + c0, c1 - c0);
    });
    return r;
}

}  // namespace

Matrix product_csr_dense(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    int64_t n = b->cols;
    Matrix r = new_dense(ctx, a->rows, n, a->elem);
    RowBlocks blocks(a, n);
    with_element(a, [&](auto type) {
        using T = decltype(type);
        parallel_for(ctx, blocks.n, [&](int64_t t) {
            int64_t r0 = blocks.bounds[t], r1 = blocks.bounds[t + 1];
            if (n == 1) csr_rows_times_vector(a->rowptr, a->colidx, values<T>(a), values<T>(b), values<T>(r.get()), r0, r1);
            else csr_rows_times_dense(a->rowptr, a->colidx, values<T>(a), values<T>(b), n, values<T>(r.get()), r0, r1);
        });
    });
    return r;
}

Matrix product_csr_transposed_dense(sm_ctx* ctx, sm_matrix* a, const sm_matrix* b) {
    int64_t size = a->cols * b->cols;
    if (size * 2 > kPartialCells && a->nnz > (1 << 16)) {  // partial results would be too large: transpose once
        Matrix t(sm_t(ctx, a));
        return product_csr_dense(ctx, t.get(), b);
    }
    Matrix r = sum_of_row_blocks(ctx, a, a->cols, b->cols, [&](int64_t r0, int64_t r1, double* out) {
        with_element(a, [&](auto type) {
            using T = decltype(type);
            if (b->cols == 1) add_vector_times_csr_rows(a->rowptr, a->colidx, values<T>(a), values<T>(b), out, r0, r1);
            else scatter_rows(a->rowptr, a->colidx, values<T>(a), values<T>(b), b->cols, out, r0, r1);
        });
    });
    return rounded(ctx, r.get(), a->elem);
}

// t(t(b) t(a)), where t(a) is made block by block.
template <class T>
Matrix product_packed_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    constexpr int64_t kCells = 1 << 15;  // of a block: they stay in the second cache
    int64_t k = a->rows, block = std::clamp<int64_t>(kCells / k, 8, 128);
    Matrix r = sum_of_row_blocks(ctx, b, b->cols, k, [&](int64_t r0, int64_t r1, double* out) {
        if (k == 1) return add_vector_times_csr_rows(b->rowptr, b->colidx, values<T>(b), values<T>(a), out, r0, r1);
        std::unique_ptr<T[]> packed(new T[static_cast<size_t>(block * k)]);
        for (int64_t i = r0; i < r1; i += block) {
            int64_t end = std::min(r1, i + block);
            pack_columns(a, 0, k, i, end, packed.get(), k);
            scatter_rows(b->rowptr, b->colidx, values<T>(b), packed.get() - i * k, k, out, i, end);
        }
    });
    r = rounded(ctx, r.get(), a->elem);
    if (k > 1) return Matrix(sm_t(ctx, r.get()));
    std::swap(r->rows, r->cols);
    return r;
}

// Eight rows of A at a time share one pass over B. Few rows: B is cut too, and partial results are added in order.
template <class T>
Matrix product_banded_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    int64_t n = b->cols, bands = (a->rows + kLanes - 1) / kLanes;
    int64_t cuts = bands >= 8 ? 1 : std::clamp<int64_t>(b->nnz >> 16, 1, 8);
    Matrix r = new_dense(ctx, a->rows, n, a->elem);
    std::vector<std::unique_ptr<double[]>> partial(static_cast<size_t>(bands * cuts));
    parallel_for(ctx, bands * cuts, [&](int64_t t) {
        int64_t i0 = t / cuts * kLanes, lanes = std::min(kLanes, a->rows - i0), cut = t % cuts;
        auto bound = [&](int64_t c) { return c == cuts ? b->rows : std::lower_bound(b->rowptr, b->rowptr + b->rows, b->nnz * c / cuts) - b->rowptr; };
        int64_t end = bound(cut + 1);
        std::unique_ptr<double[]> acc(new double[static_cast<size_t>(n * kLanes)]());
        T packed[kPacked * kLanes] = {0};
        for (int64_t k = cut ? bound(cut) : 0; k < end; k += kPacked) {
            int64_t k1 = std::min(end, k + kPacked);
            pack_columns(a, i0, lanes, k, k1, packed, kLanes);
            add_products(b->rowptr, b->colidx, values<T>(b), packed, acc.get(), k, k1);
        }
        partial[static_cast<size_t>(t)] = std::move(acc);
        if (cuts > 1) return;
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t c = 0; c < n; c++) row<T>(r.get(), i0 + l)[c] = T(partial[static_cast<size_t>(t)][static_cast<size_t>(c * kLanes + l)]);
        partial[static_cast<size_t>(t)].reset();
    });
    for (int64_t i = 0; cuts > 1 && i < a->rows; i++)
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int64_t cut = 0; cut < cuts; cut++) sum += partial[static_cast<size_t>(i / kLanes * cuts + cut)][static_cast<size_t>(c * kLanes + i % kLanes)];
            row<T>(r.get(), i)[c] = T(sum);
        }
    return r;
}

Matrix product_dense_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    bool packed = a->rows * b->cols * 2 <= kPartialCells && a->rows > 0 && a->rows <= kPackedRows;
    return with_element(a, [&](auto type) {
        using T = decltype(type);
        return packed ? product_packed_csr<T>(ctx, a, b) : product_banded_csr<T>(ctx, a, b);
    });
}

Matrix self_product_csr(sm_ctx* ctx, sm_matrix* x) {
    int64_t n = x->cols;
    if (n * n * 2 > kPartialCells) {
        Matrix t(sm_t(ctx, x));
        return product_csr_csr(ctx, t.get(), x);
    }
    Matrix r = sum_of_row_blocks(ctx, x, n, n, [&](int64_t r0, int64_t r1, double* out) {
        with_element(x, [&](auto type) {
            const auto* val = values<decltype(type)>(x);
            for (int64_t i = r0; i < r1; i++)
                for (int64_t p = x->rowptr[i]; p < x->rowptr[i + 1]; p++) {
                    double* o = out + int64_t(x->colidx[p]) * n;
                    double w = val[p];
                    for (int64_t q = p; q < x->rowptr[i + 1]; q++) o[x->colidx[q]] += w * val[q];
                }
        });
    });
    mirror(ctx, values(r.get()), n);
    return finish(ctx, rounded(ctx, r.get(), x->elem));
}

}  // namespace sm
