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
        if (end - p >= 16)  // short rows are over before four sums pay
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
    if (n == 1) {
        for (int64_t i = r0; i < r1; i++)
            for (int64_t p = rp[i]; p < rp[i + 1]; p++) out[ci[p]] += val[p] * b[i];
        return;
    }
    for (int64_t i = r0; i < r1; i++) {
        const double* r = b + i * n;
        for (int64_t p = rp[i]; p < rp[i + 1]; p++) {
            double x = val[p], *o = out + int64_t(ci[p]) * n;
            int64_t j = 0;
            for (; j + 8 <= n; j += 8) store8(o + j, load8(o + j) + load8(r + j) * x);
            for (; j < n; j++) o[j] += x * r[j];
        }
    }
}

SM_CLONES void add_into(double* out, const double* x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += x[i];
}

constexpr int64_t kLanes = 8, kPacked = 512;

// Rows [0, lanes) of A, columns [k0, k1), column by column; absent rows are zeros.
void pack_columns(const sm_matrix* a, int64_t i0, int64_t lanes, int64_t k0, int64_t k1, double* out) {
    for (int64_t l = 0; l < lanes; l++) {
        const double* x = row(a, i0 + l);
        for (int64_t k = k0; k < k1; k++) out[(k - k0) * kLanes + l] = x[k];
    }
}

// acc[c][lane] += A[lane, k] * B[k, c] for the packed columns k of A.
SM_CLONES void add_products(const int64_t* rp, const int32_t* ci, const double* val, const double* packed, double* acc, int64_t k0, int64_t k1) {
    for (int64_t k = k0; k < k1; k++) {
        v8 x = load8(packed + (k - k0) * kLanes);
        for (int64_t p = rp[k]; p < rp[k + 1]; p++) {
            double* o = acc + int64_t(ci[p]) * kLanes;
            store8(o, load8(o) + x * val[p]);
        }
    }
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

// Eight rows of A at a time share one pass over B. Few rows: B is cut too, and partial results are added in order.
Matrix product_dense_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    int64_t n = b->cols, bands = (a->rows + kLanes - 1) / kLanes;
    int64_t cuts = bands >= 8 ? 1 : std::clamp<int64_t>(b->nnz >> 16, 1, 8);
    Matrix r = new_dense(ctx, a->rows, n);
    std::vector<std::unique_ptr<double[]>> partial(static_cast<size_t>(bands * cuts));
    parallel_for(ctx, bands * cuts, [&](int64_t t) {
        int64_t i0 = t / cuts * kLanes, lanes = std::min(kLanes, a->rows - i0), cut = t % cuts;
        auto bound = [&](int64_t c) { return c == cuts ? b->rows : std::lower_bound(b->rowptr, b->rowptr + b->rows, b->nnz * c / cuts) - b->rowptr; };
        int64_t end = bound(cut + 1);
        std::unique_ptr<double[]> acc(new double[static_cast<size_t>(n * kLanes)]());
        double packed[kPacked * kLanes] = {0};
        for (int64_t k = cut ? bound(cut) : 0; k < end; k += kPacked) {
            int64_t k1 = std::min(end, k + kPacked);
            pack_columns(a, i0, lanes, k, k1, packed);
            add_products(b->rowptr, b->colidx, values(b), packed, acc.get(), k, k1);
        }
        partial[static_cast<size_t>(t)] = std::move(acc);
        if (cuts > 1) return;
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t c = 0; c < n; c++) row(r.get(), i0 + l)[c] = partial[static_cast<size_t>(t)][static_cast<size_t>(c * kLanes + l)];
        partial[static_cast<size_t>(t)].reset();
    });
    for (int64_t i = 0; cuts > 1 && i < a->rows; i++)
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int64_t cut = 0; cut < cuts; cut++) sum += partial[static_cast<size_t>(i / kLanes * cuts + cut)][static_cast<size_t>(c * kLanes + i % kLanes)];
            row(r.get(), i)[c] = sum;
        }
    return r;
}

namespace {

// Row by row (Gustavson): a dense accumulator, and a bit for each of its cells in use, which also puts columns in order.
struct RowAccumulator {
    explicit RowAccumulator(int64_t n) : sums(new double[static_cast<size_t>(n)]), used(static_cast<size_t>(n + 63) / 64) {}
    void add(int32_t c, double x) {
        uint64_t bit = uint64_t(1) << (c & 63), &word = used[static_cast<size_t>(c >> 6)];
        sums[static_cast<size_t>(c)] = word & bit ? sums[static_cast<size_t>(c)] + x : x;
        if (!word) words.push_back(c >> 6);
        word |= bit;
    }
    // Appends the row's cells that are not zero; returns their number.
    int64_t drain(int32_t* cols, double* vals) {
        int64_t count = 0;
        auto take = [&](size_t w) {
            for (uint64_t bits = used[w]; bits; bits &= bits - 1) {
                auto c = static_cast<int32_t>(w * 64) + __builtin_ctzll(bits);
                if (sums[static_cast<size_t>(c)] == 0.0) continue;
                cols[count] = c;
                vals[count++] = sums[static_cast<size_t>(c)];
            }
            used[w] = 0;
        };
        if (words.size() * 8 > used.size()) {
            for (size_t w = 0; w < used.size(); w++) take(w);
        } else {
            std::sort(words.begin(), words.end());
            for (int32_t w : words) take(static_cast<size_t>(w));
        }
        words.clear();
        return count;
    }
    std::unique_ptr<double[]> sums;
    std::vector<uint64_t> used;
    std::vector<int32_t> words;  // those of `used` that are not 0
};

}  // namespace

Matrix product_csr_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b) {
    struct Part {  // of the result: the rows of one block
        std::unique_ptr<int32_t[]> cols;
        std::unique_ptr<double[]> vals;
        int64_t count = 0, offset = 0;
    };
    int64_t n = b->cols;
    RowBlocks blocks(a, std::max<int64_t>(1, b->nnz / std::max<int64_t>(1, b->rows)) * 4);
    std::vector<Part> parts(static_cast<size_t>(blocks.n));
    std::vector<int64_t> counts(static_cast<size_t>(a->rows));
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        Part& part = parts[static_cast<size_t>(t)];
        int64_t most = 0;
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            int64_t products = 0;
            for (int64_t p = a->rowptr[i]; p < a->rowptr[i + 1]; p++) products += b->rowptr[a->colidx[p] + 1] - b->rowptr[a->colidx[p]];
            most += std::min(products, n);
        }
        part.cols.reset(new int32_t[static_cast<size_t>(most)]);
        part.vals.reset(new double[static_cast<size_t>(most)]);
        RowAccumulator acc(n);
        for (int64_t i = blocks.bounds[t]; i < blocks.bounds[t + 1]; i++) {
            for (int64_t p = a->rowptr[i]; p < a->rowptr[i + 1]; p++) {
                int64_t k = a->colidx[p];
                double x = values(a)[p];
                for (int64_t q = b->rowptr[k]; q < b->rowptr[k + 1]; q++) acc.add(b->colidx[q], x * values(b)[q]);
            }
            int64_t count = acc.drain(part.cols.get() + part.count, part.vals.get() + part.count);
            part.count += counts[static_cast<size_t>(i)] = count;
        }
    });
    int64_t nnz = 0;
    for (Part& part : parts) {
        part.offset = nnz;
        nnz += part.count;
    }
    Matrix r = new_csr(ctx, a->rows, n, nnz);
    for (int64_t i = 0; i < a->rows; i++) r->rowptr[i + 1] = r->rowptr[i] + counts[static_cast<size_t>(i)];
    parallel_for(ctx, blocks.n, [&](int64_t t) {
        Part& part = parts[static_cast<size_t>(t)];
        if (part.count == 0) return;
        std::memcpy(values(r.get()) + part.offset, part.vals.get(), static_cast<size_t>(part.count) * sizeof(double));
        std::memcpy(r->colidx + part.offset, part.cols.get(), static_cast<size_t>(part.count) * sizeof(int32_t));
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
    mirror(ctx, values(r.get()), n);
    return finish(ctx, std::move(r));
}

}  // namespace sm
