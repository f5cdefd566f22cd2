// Matrix products with CSR operands: balanced over non-zeros, in blocks fixed by the matrices alone.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "linalg_product.h"
#include "simd.h"

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

SM_CLONES void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const double* val, const double* v, double* out, int64_t r0, int64_t r1) {
    for (int64_t i = r0; i < r1; i++) {
        int64_t p = rp[i], end = rp[i + 1];
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (; p + 4 <= end; p += 4) {
            s0 += val[p] * v[ci[p]];
            s1 += val[p + 1] * v[ci[p + 1]];
            s2 += val[p + 2] * v[ci[p + 2]];
            s3 += val[p + 3] * v[ci[p + 3]];
        }
        for (; p < end; p++) s0 += val[p] * v[ci[p]];
        out[i] = (s0 + s2) + (s1 + s3);
    }
}

// out[0..n) = sum of val[p] * B[ci[p], 0..n) for W vectors in registers, 8 (W - 1) < n <= 8 W; the last vector overlaps.
template <int W>
SM_INLINE void strip(const int32_t* ci, const double* val, int64_t begin, int64_t end, const double* b, int64_t ldb, int64_t n, double* out) {
    v8 s[W];
    const int64_t last = n - 8;
#pragma GCC unroll 8
    for (int w = 0; w < W; w++) s[w] = zero8();
    for (int64_t p = begin; p < end; p++) {
        const double* r = b + int64_t(ci[p]) * ldb;
        if (p + 8 < end) __builtin_prefetch(b + int64_t(ci[p + 8]) * ldb);
        double x = val[p];
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) s[w] += load8(r + 8 * w) * x;
        s[W - 1] += load8(r + last) * x;
    }
#pragma GCC unroll 8
    for (int w = 0; w < W - 1; w++) store8(out + 8 * w, s[w]);
    store8(out + last, s[W - 1]);
}

// The same for n = N < 8 columns.
template <int N>
SM_INLINE void narrow(const int32_t* ci, const double* val, int64_t begin, int64_t end, const double* b, int64_t ldb, double* out) {
    double s[N] = {0};
    for (int64_t p = begin; p < end; p++) {
        const double* r = b + int64_t(ci[p]) * ldb;
#pragma GCC unroll 8
        for (int q = 0; q < N; q++) s[q] += val[p] * r[q];
    }
#pragma GCC unroll 8
    for (int q = 0; q < N; q++) out[q] = s[q];
}

SM_CLONES void csr_rows_times_dense(const int64_t* rp, const int32_t* ci, const double* val, const double* b, int64_t n, double* out, int64_t r0,
                                    int64_t r1) {
    for (int64_t j = 0; j < n;) {  // column strips of at most 64; what is left over is never narrower than 8 unless n is
        int64_t rest = n - j, width = rest <= 64 ? rest : rest < 72 ? 56 : 64;
        for (int64_t i = r0; i < r1; i++) {
            const int64_t p = rp[i], end = rp[i + 1];
            double* o = out + i * n + j;
            const double* bj = b + j;
            switch (width < 8 ? width : 7 + (width + 7) / 8) {
                case 1: narrow<1>(ci, val, p, end, bj, n, o); break;
                case 2: narrow<2>(ci, val, p, end, bj, n, o); break;
                case 3: narrow<3>(ci, val, p, end, bj, n, o); break;
                case 4: narrow<4>(ci, val, p, end, bj, n, o); break;
                case 5: narrow<5>(ci, val, p, end, bj, n, o); break;
                case 6: narrow<6>(ci, val, p, end, bj, n, o); break;
                case 7: narrow<7>(ci, val, p, end, bj, n, o); break;
                case 8: strip<1>(ci, val, p, end, bj, n, width, o); break;
                case 9: strip<2>(ci, val, p, end, bj, n, width, o); break;
                case 10: strip<3>(ci, val, p, end, bj, n, width, o); break;
                case 11: strip<4>(ci, val, p, end, bj, n, width, o); break;
                case 12: strip<5>(ci, val, p, end, bj, n, width, o); break;
                case 13: strip<6>(ci, val, p, end, bj, n, width, o); break;
                case 14: strip<7>(ci, val, p, end, bj, n, width, o); break;
                default: strip<8>(ci, val, p, end, bj, n, width, o); break;
            }
        }
        j += width;
    }
}

SM_CLONES void scatter_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* b, int64_t n, double* out, int64_t r0, int64_t r1) {
    for (int64_t i = r0; i < r1; i++)
        for (int64_t p = rp[i]; p < rp[i + 1]; p++) {
            double x = val[p];
            const double* r = b + i * n;
            double* o = out + int64_t(ci[p]) * n;
            if (n == 1)
                o[0] += x * r[0];
            else
                for (int64_t j = 0; j < n; j++) o[j] += x * r[j];
        }
}

SM_CLONES void add_into(double* out, const double* x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += x[i];
}

constexpr int64_t kPartialCells = 1 << 22;

// Sum over fixed row blocks of f(block begin, block end, partial result); results of `cells` cells.
template <class F>
Matrix sum_of_row_blocks(sm_ctx* ctx, const sm_matrix* a, int64_t rows, int64_t cols, F&& f) {
    Matrix r = new_dense_zero(ctx, rows, cols);
    r->nnz = -1;
    int64_t size = rows * cols;
    int64_t n = std::max<int64_t>(1, std::min<int64_t>({8, a->nnz / (1 << 16), kPartialCells / std::max<int64_t>(size, 1)}));
    std::vector<double> partial(static_cast<size_t>((n - 1) * size));
    parallel_for(ctx, n, [&](int64_t t) {
        int64_t r0 = std::lower_bound(a->rowptr, a->rowptr + a->rows, a->nnz * t / n) - a->rowptr;
        int64_t r1 = t + 1 == n ? a->rows : std::lower_bound(a->rowptr, a->rowptr + a->rows, a->nnz * (t + 1) / n) - a->rowptr;
        f(t ? r0 : 0, r1, t ? partial.data() + (t - 1) * size : values(r.get()));
    });
    for (int64_t t = 1; t < n; t++) add_into(values(r.get()), partial.data() + (t - 1) * size, size);
    return r;
}

}  // namespace

Matrix product_csr_dense(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    int64_t n = b->cols;
    Matrix r = new_dense(ctx, a->rows, n);
    RowBlocks blocks(a, n);
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        if (n == 1)
            csr_rows_times_vector(a->rowptr, a->colidx, values(a), values(b), values(r.get()), blocks.bounds[t], blocks.bounds[t + 1]);
        else
            csr_rows_times_dense(a->rowptr, a->colidx, values(a), values(b), n, values(r.get()), blocks.bounds[t], blocks.bounds[t + 1]);
    });
    return r;
}

Matrix product_csr_transposed_dense(sm_ctx* ctx, sm_matrix* a, const sm_matrix* b) {
    int64_t size = a->cols * b->cols;
    if (size * 2 > kPartialCells && a->nnz > (1 << 16)) {  // partial results would be too large: transpose once
        Matrix t(sm_t(ctx, a));
        return product_csr_dense(ctx, t.get(), b);
    }
    return sum_of_row_blocks(ctx, a, a->cols, b->cols, [&](int64_t r0, int64_t r1, double* out) {
        scatter_rows(a->rowptr, a->colidx, values(a), values(b), b->cols, out, r0, r1);
    });
}

Matrix product_dense_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    int64_t n = b->cols;
    Matrix r = new_dense_zero(ctx, a->rows, n);
    r->nnz = -1;
    parallel_rows(ctx, a->rows, std::max<int64_t>(n, b->nnz), [&](int64_t r0, int64_t r1) {
        for (int64_t i = r0; i < r1; i++) {
            double* o = row(r.get(), i);
            const double* x = row(a, i);
            for (int64_t k = 0; k < a->cols; k++)
                for (int64_t p = b->rowptr[k]; p < b->rowptr[k + 1]; p++) o[b->colidx[p]] += x[k] * values(b)[p];
        }
    });
    return r;
}

Matrix product_csr_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    // Gustavson: a dense accumulator row for each block; blocks collect their rows, then are put together.
    struct Part {
        std::vector<int64_t> counts;
        std::vector<int32_t> cols;
        std::vector<double> vals;
    };
    int64_t n = b->cols;
    RowBlocks blocks(a, std::max<int64_t>(1, b->nnz / std::max<int64_t>(1, b->rows)) * 4);
    std::vector<Part> parts(static_cast<size_t>(blocks.n));
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        Part& part = parts[static_cast<size_t>(t)];
        std::unique_ptr<double[]> acc(new double[static_cast<size_t>(std::max<int64_t>(n, 1))]);
        std::vector<int64_t> seen(static_cast<size_t>(n), -1);
        std::vector<int32_t> cols;
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            cols.clear();
            for (int64_t p = a->rowptr[i]; p < a->rowptr[i + 1]; p++) {
                int64_t k = a->colidx[p];
                double x = values(a)[p];
                for (int64_t q = b->rowptr[k]; q < b->rowptr[k + 1]; q++) {
                    int32_t c = b->colidx[q];
                    if (seen[static_cast<size_t>(c)] != i) {
                        seen[static_cast<size_t>(c)] = i;
                        acc[static_cast<size_t>(c)] = x * values(b)[q];
                        cols.push_back(c);
                    } else {
                        acc[static_cast<size_t>(c)] += x * values(b)[q];
                    }
                }
            }
            if (static_cast<int64_t>(cols.size()) * 8 > n) {  // a full row: reading it in order beats sorting
                cols.clear();
                for (int64_t c = 0; c < n; c++)
                    if (seen[static_cast<size_t>(c)] == i) cols.push_back(static_cast<int32_t>(c));
            } else {
                std::sort(cols.begin(), cols.end());
            }
            int64_t count = 0;
            for (int32_t c : cols)
                if (acc[static_cast<size_t>(c)] != 0.0) {
                    part.cols.push_back(c);
                    part.vals.push_back(acc[static_cast<size_t>(c)]);
                    count++;
                }
            part.counts.push_back(count);
        }
    });
    int64_t nnz = 0;
    for (const Part& part : parts) nnz += static_cast<int64_t>(part.vals.size());
    Matrix r = new_csr(ctx, a->rows, n, nnz);
    std::vector<int64_t> offsets;
    int64_t at = 0, i = 0;
    for (const Part& part : parts) {
        offsets.push_back(at);
        for (int64_t count : part.counts) r->rowptr[++i] = at += count;
    }
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        const Part& part = parts[static_cast<size_t>(t)];
        if (part.vals.empty()) return;
        std::memcpy(values(r.get()) + offsets[static_cast<size_t>(t)], part.vals.data(), part.vals.size() * sizeof(double));
        std::memcpy(r->colidx + offsets[static_cast<size_t>(t)], part.cols.data(), part.cols.size() * sizeof(int32_t));
    });
    return finish(ctx, std::move(r));
}

Matrix self_product_csr(sm_ctx* ctx, sm_matrix* x) {
    int64_t n = x->cols;
    if (n * n * 2 > kPartialCells) {
        Matrix t(sm_t(ctx, x));
        return product_csr_csr(ctx, t.get(), x);
    }
    Matrix r = sum_of_row_blocks(ctx, x, n, n, [&](int64_t r0, int64_t r1, double* out) {
        const double* val = values(x);
        for (int64_t i = r0; i < r1; i++)
            for (int64_t p = x->rowptr[i]; p < x->rowptr[i + 1]; p++) {
                double* o = out + int64_t(x->colidx[p]) * n;
                double w = val[p];
                for (int64_t q = p; q < x->rowptr[i + 1]; q++) o[x->colidx[q]] += w * val[q];
            }
    });
    double* c = values(r.get());
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) c[i * n + j] = c[j * n + i];
    return finish(ctx, std::move(r));
}

}  // namespace sm
