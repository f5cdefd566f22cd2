// CSR with one column: rows times a vector, and a vector spread over the columns.
#include "linalg_sparse_vector.h"

#include "simd.h"

#include <algorithm>

#if defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // what the header passes where lanes do not matter
#include <immintrin.h>
#endif

namespace sm {
namespace {

constexpr int64_t kAhead = 1024;  // entries; what the hardware fetches on its own is half of what the memory gives

template <class T>
SM_INLINE void times_vector(const int64_t* rp, const int32_t* ci, const T* val, const T* v, T* out, int64_t r0, int64_t r1) {
    for (int64_t i = r0; i < r1; i++) {
        int64_t p = rp[i], end = rp[i + 1];
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        if (end - p >= 16)  // short rows are over before four sums pay
            for (; p + 4 <= end; p += 4) {
                __builtin_prefetch(val + p + kAhead);
                s0 += double(val[p]) * v[ci[p]];
                s1 += double(val[p + 1]) * v[ci[p + 1]];
                s2 += double(val[p + 2]) * v[ci[p + 2]];
                s3 += double(val[p + 3]) * v[ci[p + 3]];
            }
        for (; p < end; p++) s0 += double(val[p]) * v[ci[p]];
        out[i] = T((s0 + s2) + (s1 + s3));
    }
}

template <class T>
SM_INLINE void add_vector(const int64_t* rp, const int32_t* ci, const T* val, const T* u, double* out, int64_t r0, int64_t r1) {
    for (int64_t i = r0; i < r1; i++)
        for (int64_t p = rp[i]; p < rp[i + 1]; p++) out[ci[p]] += double(val[p]) * u[i];
}

}  // namespace

SM_LEVEL("default") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const double* val, const double* v, double* out, int64_t r0, int64_t r1) {
    times_vector(rp, ci, val, v, out, r0, r1);
}
SM_LEVEL("default") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const float* val, const float* v, float* out, int64_t r0, int64_t r1) {
    times_vector(rp, ci, val, v, out, r0, r1);
}
SM_LEVEL("default") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* u, double* out, int64_t r0, int64_t r1) {
    add_vector(rp, ci, val, u, out, r0, r1);
}
SM_LEVEL("default") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const float* val, const float* u, double* out, int64_t r0, int64_t r1) {
    add_vector(rp, ci, val, u, out, r0, r1);
}

#if defined(__x86_64__)
namespace {

#define SM_AVX512_INLINE inline __attribute__((target("arch=x86-64-v4"), always_inline))

SM_AVX512_INLINE __mmask8 lanes(int64_t n) { return static_cast<__mmask8>(_bzhi_u32(0xff, static_cast<unsigned>(std::clamp<int64_t>(n, 0, 8)))); }

// Asks for entries [kAhead + from, kAhead + to), line by line; where the next call goes on.
template <class T>
SM_AVX512_INLINE int64_t fetch(const int32_t* ci, const T* val, int64_t from, int64_t to) {
    for (; from < to; from += 16) {
        __builtin_prefetch(val + from + kAhead);
        if (sizeof(T) == 8) __builtin_prefetch(val + from + kAhead + 8);
        __builtin_prefetch(ci + from + kAhead);
    }
    return from;
}

// Lane j is the sum of the lanes of s[j].
SM_AVX512_INLINE __m512d sums(const __m512d* s) {
    __m512d pairs[4];
    for (int k = 0; k < 4; k++) pairs[k] = _mm512_unpacklo_pd(s[2 * k], s[2 * k + 1]) + _mm512_unpackhi_pd(s[2 * k], s[2 * k + 1]);
    __m512d low = _mm512_shuffle_f64x2(pairs[0], pairs[1], 0x88) + _mm512_shuffle_f64x2(pairs[0], pairs[1], 0xdd);
    __m512d high = _mm512_shuffle_f64x2(pairs[2], pairs[3], 0x88) + _mm512_shuffle_f64x2(pairs[2], pairs[3], 0xdd);
    return _mm512_shuffle_f64x2(low, high, 0x88) + _mm512_shuffle_f64x2(low, high, 0xdd);
}

// Eight cells as f64.
SM_AVX512_INLINE __m512d load(__mmask8 some, const double* p) { return _mm512_maskz_loadu_pd(some, p); }
SM_AVX512_INLINE __m512d load(__mmask8 some, const float* p) { return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(some, p)); }
SM_AVX512_INLINE __m512d gather(__mmask8 some, __m256i at, const double* p) { return _mm512_mask_i32gather_pd(_mm512_setzero_pd(), some, at, p, 8); }
SM_AVX512_INLINE __m512d gather(__mmask8 some, __m256i at, const float* p) {
    return _mm512_cvtps_pd(_mm256_mmask_i32gather_ps(_mm256_setzero_ps(), some, at, p, 4));
}
SM_AVX512_INLINE void store(__mmask8 some, double* p, __m512d x) { _mm512_mask_storeu_pd(p, some, x); }
SM_AVX512_INLINE void store(__mmask8 some, float* p, __m512d x) { _mm256_mask_storeu_ps(p, some, _mm512_cvtpd_ps(x)); }

template <class T>
SM_AVX512_INLINE __m512d add_products(const int32_t* ci, const T* val, const T* v, int64_t p, int64_t end, __m512d sum) {
    __mmask8 some = lanes(end - p);
    return _mm512_fmadd_pd(gather(some, _mm256_maskz_loadu_epi32(some, ci + p), v), load(some, val + p), sum);
}

// Eight rows at a time. Sixteen entries of each are taken without a question: guessing wrong how long a row is costs more.
template <class T>
SM_AVX512_INLINE void times_gathered(const int64_t* rp, const int32_t* ci, const T* val, const T* v, T* out, int64_t r0, int64_t r1) {
    int64_t fetched = rp[r0];
    for (int64_t i = r0; i < r1; i += 8) {
        int64_t rows = std::min<int64_t>(8, r1 - i);
        __m512d s[8];
        fetched = fetch(ci, val, fetched, rp[i + rows]);
        for (int64_t j = 0; j < 8; j++) {
            int64_t p = rp[i + std::min(j, rows)], end = rp[i + std::min(j + 1, rows)];
            __m512d sum = add_products(ci, val, v, p, end, _mm512_setzero_pd());
            sum = add_products(ci, val, v, p + 8, end, sum);
            for (p += 16; p < end; p += 8) sum = add_products(ci, val, v, p, end, sum);
            s[j] = sum;
        }
        store(lanes(rows), out + i, sums(s));
    }
}

// Columns differ within a row, so eight of them are added to at once.
template <class T>
SM_AVX512_INLINE void add_scattered(const int64_t* rp, const int32_t* ci, const T* val, const T* u, double* out, int64_t r0, int64_t r1) {
    int64_t fetched = rp[r0];
    for (int64_t i = r0; i < r1; i++) {
        __m512d x = _mm512_set1_pd(u[i]);
        fetched = fetch(ci, val, fetched, rp[i + 1]);
        for (int64_t p = rp[i]; p < rp[i + 1]; p += 8) {
            __mmask8 some = lanes(rp[i + 1] - p);
            __m256i columns = _mm256_maskz_loadu_epi32(some, ci + p);
            _mm512_mask_i32scatter_pd(out, some, columns, _mm512_fmadd_pd(x, load(some, val + p), gather(some, columns, out)), 8);
        }
    }
}

}  // namespace

SM_LEVEL("arch=x86-64-v4") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const double* val, const double* v, double* out, int64_t r0, int64_t r1) {
    times_gathered(rp, ci, val, v, out, r0, r1);
}
SM_LEVEL("arch=x86-64-v4") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* u, double* out, int64_t r0, int64_t r1) {
    add_scattered(rp, ci, val, u, out, r0, r1);
}
SM_LEVEL("arch=x86-64-v4") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const float* val, const float* v, float* out, int64_t r0, int64_t r1) {
    times_gathered(rp, ci, val, v, out, r0, r1);
}
SM_LEVEL("arch=x86-64-v4") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const float* val, const float* u, double* out, int64_t r0, int64_t r1) {
    add_scattered(rp, ci, val, u, out, r0, r1);
}
#endif

}  // namespace sm
