// Transposition: dense by cache tiles, CSR by counting.
#include "context.h"

#include <string.h>

#include <algorithm>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sm {
namespace {

constexpr int64_t kTile = 8;

// An 8x8 tile: whole cache lines are read and written. Large results bypass the caches (aligned lines only).
#if defined(__SSE2__)
template <bool kStream>
inline void tile(const double* in, int64_t in_rs, double* out, int64_t out_rs) {
    auto store = [](double* to, __m128d v) { kStream ? _mm_stream_pd(to, v) : _mm_storeu_pd(to, v); };
    for (int j = 0; j < kTile; j += 2) {
        __m128d even[4], odd[4];
        for (int i = 0; i < 4; i++) {
            __m128d a = _mm_loadu_pd(in + 2 * i * in_rs + j), b = _mm_loadu_pd(in + (2 * i + 1) * in_rs + j);
            even[i] = _mm_unpacklo_pd(a, b);
            odd[i] = _mm_unpackhi_pd(a, b);
        }
        for (int i = 0; i < 4; i++) store(out + j * out_rs + 2 * i, even[i]);
        for (int i = 0; i < 4; i++) store(out + (j + 1) * out_rs + 2 * i, odd[i]);
    }
}
// A tile of f32 has half lines: it is never streamed.
template <bool kStream>
inline void tile(const float* in, int64_t in_rs, float* out, int64_t out_rs) {
    for (int i = 0; i < kTile; i += 4)
        for (int j = 0; j < kTile; j += 4) {
            __m128 a = _mm_loadu_ps(in + i * in_rs + j), b = _mm_loadu_ps(in + (i + 1) * in_rs + j);
            __m128 c = _mm_loadu_ps(in + (i + 2) * in_rs + j), d = _mm_loadu_ps(in + (i + 3) * in_rs + j);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(out + j * out_rs + i, a);
            _mm_storeu_ps(out + (j + 1) * out_rs + i, b);
            _mm_storeu_ps(out + (j + 2) * out_rs + i, c);
            _mm_storeu_ps(out + (j + 3) * out_rs + i, d);
        }
}
inline void store_fence() { _mm_sfence(); }
#else
template <bool kStream, class T>
inline void tile(const T* in, int64_t in_rs, T* out, int64_t out_rs) {
    for (int j = 0; j < kTile; j++)
        for (int i = 0; i < kTile; i++) out[j * out_rs + i] = in[i * in_rs + j];
}
inline void store_fence() {}
#endif

template <class T>
void dense(sm_ctx* ctx, const sm_matrix* m, sm_matrix* r) {
    if (cells(m) == 0) return;
    if (m->rows == 1 || m->cols == 1) {
        parallel_chunks(ctx, cells(m), 1 << 17, [&](int64_t b, int64_t e) { memcpy(values<T>(r) + b, values<T>(m) + b, size_t(e - b) * sizeof(T)); });
        return;
    }
    // A task makes a block of result rows: of 64 columns of X a row gives whole lines, and 64 lines are written.
    int64_t band = std::min<int64_t>(m->cols, 64), height = std::max<int64_t>(4 * kGrain / band, kTile) / kTile * kTile;
    int64_t bands = (m->cols + band - 1) / band, heights = (m->rows + height - 1) / height;
    bool stream = sizeof(T) == 8 && cells(m) > (1 << 21) && m->rows % kTile == 0;
    parallel_for(ctx, bands * heights, [&](int64_t task) {
        int64_t c0 = task / heights * band, c1 = std::min(c0 + band, m->cols);
        int64_t r0 = task % heights * height, r1 = std::min(r0 + height, m->rows);
        int64_t full_c = c0 + (c1 - c0) / kTile * kTile, full_r = r0 + (r1 - r0) / kTile * kTile;
        for (int64_t i = r0; i < full_r; i += kTile) {
            for (int64_t j = c0; j < full_c; j += kTile) {
                if (stream) tile<true>(row<T>(m, i) + j, m->cols, row<T>(r, j) + i, m->rows);
                else tile<false>(row<T>(m, i) + j, m->cols, row<T>(r, j) + i, m->rows);
            }
            for (int64_t j = full_c; j < c1; j++)
                for (int64_t k = i; k < i + kTile; k++) row<T>(r, j)[k] = row<T>(m, k)[j];
        }
        for (int64_t i = full_r; i < r1; i++)
            for (int64_t j = c0; j < c1; j++) row<T>(r, j)[i] = row<T>(m, i)[j];
        store_fence();
    });
}

// Counting sort by column. Chunks of rows count and fill independently, so the order within a column is kept.
template <class T>
Matrix sparse(sm_ctx* ctx, const sm_matrix* m) {
    require(m->rows <= INT32_MAX, "t: a sparse matrix with %lld rows is too tall to transpose", (long long)m->rows);
    Matrix r = new_csr(ctx, m->cols, m->rows, m->nnz, m->elem);
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
                values<T>(r.get())[q] = values<T>(m)[p];
            }
    });
    return r;
}

}  // namespace

template <class T>
static Matrix transposed(sm_ctx* ctx, sm_matrix* m) {
    if (is_csr(m) && m->rows > 1 && m->rows <= INT32_MAX) return finish(ctx, sparse<T>(ctx, m));
    Matrix d = to_dense(ctx, m);
    Matrix r = new_dense(ctx, m->cols, m->rows, m->elem);
    dense<T>(ctx, d.get(), r.get());
    r->nnz = m->nnz;
    return r;
}

Matrix transpose(sm_ctx* ctx, sm_matrix* m) {
    return with_element(m, [&](auto type) { return transposed<decltype(type)>(ctx, m); });
}

}  // namespace sm

SM_API sm_matrix* sm_t(sm_ctx* ctx, sm_matrix* X) {
    return SM_ENTRY(ctx, { return sm::transpose(ctx, X).take(); });
}
