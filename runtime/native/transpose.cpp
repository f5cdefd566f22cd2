// Transposition: dense by cache tiles, CSR by counting.
#include "context.h"

#include <string.h>

#include <algorithm>
#include <vector>

namespace sm {
namespace {

constexpr int64_t kTile = 8;

// An 8x8 tile: whole cache lines are read and written; the loops unroll and vectorise.
inline void tile(const double* in, int64_t in_rs, double* out, int64_t out_rs) {
    double t[kTile][kTile];
    for (int i = 0; i < kTile; i++) memcpy(t[i], in + i * in_rs, sizeof t[i]);
    for (int j = 0; j < kTile; j++) {
        double line[kTile];
        for (int i = 0; i < kTile; i++) line[i] = t[i][j];
        memcpy(out + j * out_rs, line, sizeof line);
    }
}

void dense(sm_ctx* ctx, const sm_matrix* m, sm_matrix* r) {
    if (cells(m) == 0) return;
    if (m->rows == 1 || m->cols == 1) {
        parallel_chunks(ctx, cells(m), 1 << 17, [&](int64_t b, int64_t e) { memcpy(values(r) + b, values(m) + b, size_t(e - b) * 8); });
        return;
    }
    // A task writes a band of result rows; within it, blocks of source rows stay in the cache.
    int64_t band = std::clamp<int64_t>((4 * kGrain / m->rows + kTile - 1) / kTile * kTile, kTile, 64);
    parallel_chunks(ctx, m->cols, band, [&](int64_t c0, int64_t c1) {
        int64_t full_c = c0 + (c1 - c0) / kTile * kTile, full_r = m->rows / kTile * kTile;
        for (int64_t i = 0; i < full_r; i += kTile) {
            for (int64_t j = c0; j < full_c; j += kTile) tile(row(m, i) + j, m->cols, row(r, j) + i, m->rows);
            for (int64_t j = full_c; j < c1; j++)
                for (int64_t k = i; k < i + kTile; k++) row(r, j)[k] = row(m, k)[j];
        }
        for (int64_t i = full_r; i < m->rows; i++)
            for (int64_t j = c0; j < c1; j++) row(r, j)[i] = row(m, i)[j];
    });
}

// Counting sort by column. Chunks of rows count and fill independently, so the order within a column is kept.
Matrix sparse(sm_ctx* ctx, const sm_matrix* m) {
    require(m->rows <= INT32_MAX, "t: a sparse matrix with %lld rows is too tall to transpose", (long long)m->rows);
    Matrix r = new_csr(ctx, m->cols, m->rows, m->nnz);
    int64_t n = std::clamp<int64_t>(m->nnz / (4 * m->cols + 65536), 1, 16);
    std::vector<int64_t> bounds;
    for (int64_t i = 0; i <= n; i++)
        bounds.push_back(i == n ? m->rows : std::lower_bound(m->rowptr, m->rowptr + m->rows, m->nnz * i / n) - m->rowptr);
    std::vector<int64_t> next(size_t(n * m->cols), 0);
    parallel_for(ctx, n, [&](int64_t chunk) {
        int64_t* count = next.data() + chunk * m->cols;
        for (int64_t p = m->rowptr[bounds[size_t(chunk)]]; p < m->rowptr[bounds[size_t(chunk) + 1]]; p++) count[m->colidx[p]]++;
    });
    int64_t total = 0;
    for (int64_t j = 0; j < m->cols; j++) {
        r->rowptr[j] = total;
        for (int64_t chunk = 0; chunk < n; chunk++) {
            int64_t c = next[size_t(chunk * m->cols + j)];
            next[size_t(chunk * m->cols + j)] = total;
            total += c;
        }
    }
    r->rowptr[m->cols] = total;
    parallel_for(ctx, n, [&](int64_t chunk) {
        int64_t* at = next.data() + chunk * m->cols;
        for (int64_t i = bounds[size_t(chunk)]; i < bounds[size_t(chunk) + 1]; i++)
            for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++) {
                int64_t q = at[m->colidx[p]]++;
                r->colidx[q] = int32_t(i);
                values(r.get())[q] = values(m)[p];
            }
    });
    return r;
}

}  // namespace

Matrix transpose(sm_ctx* ctx, sm_matrix* m) {
    if (is_csr(m)) {
        if (m->rows > 1 && m->rows <= INT32_MAX) return finish(ctx, sparse(ctx, m));
        Matrix d = to_dense(ctx, m);
        Matrix r = new_dense(ctx, m->cols, m->rows);
        dense(ctx, d.get(), r.get());
        return r;
    }
    Matrix r = new_dense(ctx, m->cols, m->rows);
    dense(ctx, m, r.get());
    r->nnz = m->nnz;
    return r;
}

}  // namespace sm

SM_API sm_matrix* sm_t(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return sm::transpose(ctx, X).take(); });
}
