// The inner loops of sampled products: dots of gathered rows, and rows added into rows.
#include "simd_rows.h"

#include "launch_outer.h"

#include <cstdint>
#include <type_traits>

namespace sm {
namespace {

// Eight cells, and eight integers as wide.
template <class T>
struct Eight;
template <>
struct Eight<double> {
    typedef v8 Cells;
    typedef int64_t Integer;
    typedef int64_t Integers __attribute__((vector_size(64)));
    typedef int64_t Unaligned __attribute__((vector_size(64), aligned(8)));
};
template <>
struct Eight<float> {
    typedef f8 Cells;
    typedef int32_t Integer;
    typedef int32_t Integers __attribute__((vector_size(32)));
    typedef int32_t Unaligned __attribute__((vector_size(32), aligned(4)));
};
template <class T>
using Cells = typename Eight<T>::Cells;
template <class T>
using Integers = typename Eight<T>::Integers;

template <class T>
SM_INLINE Cells<T> at(const T* p) {
    Cells<T> v;
    load(v, p);
    return v;
}

// Ones in lanes first .. 7.
template <class T>
SM_INLINE Integers<T> lanes_from(int64_t first) {
    static const typename Eight<T>::Integer ones[16] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
    return *reinterpret_cast<const typename Eight<T>::Unaligned*>(ones + 8 - first);
}

// The sums of eight vectors, in the lanes of one.
template <class T>
SM_INLINE Cells<T> sums_of(const Cells<T>* s) {
    using i8 = Integers<T>;
    Cells<T> t[4], u[2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        t[i] = __builtin_shuffle(s[2 * i], s[2 * i + 1], i8{0, 8, 2, 10, 4, 12, 6, 14}) +
               __builtin_shuffle(s[2 * i], s[2 * i + 1], i8{1, 9, 3, 11, 5, 13, 7, 15});
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        u[i] = __builtin_shuffle(t[2 * i], t[2 * i + 1], i8{0, 1, 8, 9, 4, 5, 12, 13}) +
               __builtin_shuffle(t[2 * i], t[2 * i + 1], i8{2, 3, 10, 11, 6, 7, 14, 15});
    return __builtin_shuffle(u[0], u[1], i8{0, 1, 2, 3, 8, 9, 10, 11}) + __builtin_shuffle(u[0], u[1], i8{4, 5, 6, 7, 12, 13, 14, 15});
}

// The dot of two rows of k >= 8 cells: W whole vectors (W = 0: any number), and what is left in one that overlaps the last.
// `next` is a row that is needed soon.
template <int W, bool Rest, class T>
SM_INLINE Cells<T> wide_dot(const T* a, const T* b, const T* next, int64_t k, Integers<T> keep) {
    Cells<T> sum = at(a) * at(b), other{};
    __builtin_prefetch(next);
    if (W) {
#pragma GCC unroll 8
        for (int64_t w = 1; w < W; w++) {
            sum += at(a + 8 * w) * at(b + 8 * w);
            __builtin_prefetch(next + 8 * w);
        }
    } else {
        const int64_t whole = k / 8;
        for (int64_t w = 1; w < whole; w++) {
            sum += at(a + 8 * w) * at(b + 8 * w);
            if (++w < whole) other += at(a + 8 * w) * at(b + 8 * w);
            __builtin_prefetch(next + 8 * w - 8);
            __builtin_prefetch(next + 8 * w);
        }
        sum += other;
    }
    if (Rest) {
        auto x = reinterpret_cast<Cells<T>>(reinterpret_cast<Integers<T>>(at(a + k - 8)) & keep);
        auto y = reinterpret_cast<Cells<T>>(reinterpret_cast<Integers<T>>(at(b + k - 8)) & keep);
        sum += x * y;
        __builtin_prefetch(next + k - 1);
    }
    return sum;
}

template <int W, bool Rest, class T>
SM_INLINE void wide_dots(const T* u, const int32_t* rows, const T* v, const int32_t* cols, int64_t count, int64_t k, T* out) {
    const Integers<T> keep = lanes_from<T>(8 - k % 8);
    for (int64_t g = 0; g < count; g += 8) {
        Cells<T> s[8];
        auto group = [&](auto same) __attribute__((always_inline)) {
            const T* first = u + rows[g] * k;
#pragma GCC unroll 8
            for (int e = 0; e < 8; e++)
                s[e] = wide_dot<W, Rest>(same ? first : u + rows[g + e] * k, v + cols[g + e] * k, v + cols[g + e + kDotAhead - 8] * k, k, keep);
        };
        if (rows[g] == rows[g + 7]) group(std::true_type{});  // its cells stay in registers
        else group(std::false_type{});
        store(out + g, sums_of<T>(s));
    }
}

template <int W, class T>
SM_INLINE void wide_dots(const T* u, const int32_t* rows, const T* v, const int32_t* cols, int64_t count, int64_t k, T* out) {
    if (k % 8) wide_dots<W, true>(u, rows, v, cols, count, k, out);
    else wide_dots<W, false>(u, rows, v, cols, count, k, out);
}

template <int K, class T>
SM_INLINE void short_dots(const T* u, const int32_t* rows, const T* v, const int32_t* cols, int64_t count, T* out) {
    for (int64_t g = 0; g < count; g++) {
        const T *a = u + int64_t(rows[g]) * K, *b = v + int64_t(cols[g]) * K;
        __builtin_prefetch(v + int64_t(cols[g + kDotAhead - 8]) * K);
        T s = a[0] * b[0];
#pragma GCC unroll 8
        for (int c = 1; c < K; c++) s += a[c] * b[c];
        out[g] = s;
    }
}

template <class T>
SM_INLINE void dots(const T* u, const int32_t* rows, const T* v, const int32_t* cols, int64_t count, int64_t k, T* out) {
    switch (k < 8 ? k : k < 72 ? 7 + k / 8 : 0) {
        case 1: short_dots<1>(u, rows, v, cols, count, out); break;
        case 2: short_dots<2>(u, rows, v, cols, count, out); break;
        case 3: short_dots<3>(u, rows, v, cols, count, out); break;
        case 4: short_dots<4>(u, rows, v, cols, count, out); break;
        case 5: short_dots<5>(u, rows, v, cols, count, out); break;
        case 6: short_dots<6>(u, rows, v, cols, count, out); break;
        case 7: short_dots<7>(u, rows, v, cols, count, out); break;
        case 8: wide_dots<1>(u, rows, v, cols, count, k, out); break;
        case 9: wide_dots<2>(u, rows, v, cols, count, k, out); break;
        case 10: wide_dots<3>(u, rows, v, cols, count, k, out); break;
        case 11: wide_dots<4>(u, rows, v, cols, count, k, out); break;
        case 12: wide_dots<5>(u, rows, v, cols, count, k, out); break;
        case 13: wide_dots<6>(u, rows, v, cols, count, k, out); break;
        case 14: wide_dots<7>(u, rows, v, cols, count, k, out); break;
        case 15: wide_dots<8>(u, rows, v, cols, count, k, out); break;
        default: wide_dots<0>(u, rows, v, cols, count, k, out);
    }
}

template <class T>
SM_INLINE void add_gathered(const int32_t* cols, const T* s, int64_t count, const T* b, int64_t q, T* out) {
    for_strips<T>(q, [=](auto sum, int64_t j, int64_t last) __attribute__((always_inline)) {
        sum.load(out + j, last);
        for (int64_t g = 0; g < count; g++) sum.add(b + int64_t(cols[g]) * q + j, last, s[g]);
        sum.store(out + j, last);
    });
}

// Two rounded operations give what the sum lost (Knuth); not finite sums are put right when they are read.
template <class T>
SM_INLINE void add_exactly(double* sums, double* rests, const T* x, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        double a = sums[c], b = x[c], t = a + b, z = t - a;
        rests[c] += (a - (t - z)) + (b - z);
        sums[c] = t;
    }
}

}  // namespace

SM_CLONES void sampled_dots(const double* u, const int32_t* rows, const double* v, const int32_t* cols, int64_t count, int64_t k, double* out) {
    dots(u, rows, v, cols, count, k, out);
}
SM_CLONES void sampled_dots(const float* u, const int32_t* rows, const float* v, const int32_t* cols, int64_t count, int64_t k, float* out) {
    dots(u, rows, v, cols, count, k, out);
}

SM_CLONES void add_rows(const int32_t* cols, const double* s, int64_t count, const double* b, int64_t q, double* out) { add_gathered(cols, s, count, b, q, out); }
SM_CLONES void add_rows(const int32_t* cols, const float* s, int64_t count, const float* b, int64_t q, float* out) { add_gathered(cols, s, count, b, q, out); }

SM_CLONES void add_compensated(double* sums, double* rests, const double* x, int64_t n) { add_exactly(sums, rests, x, n); }
SM_CLONES void add_compensated(double* sums, double* rests, const float* x, int64_t n) { add_exactly(sums, rests, x, n); }

namespace {

template <class T>
void add_up(CompensatedSum& sum, const T* x, int64_t n) {
    double sums[8] = {0}, rests[8] = {0};
    int64_t c = 0;
    if (n >= 64) {
        for (; c + 8 <= n; c += 8) add_compensated(sums, rests, x + c, 8);
        for (int i = 0; i < 8; i++) {
            sum.add(sums[i]);
            sum.rest += std::isfinite(sums[i]) ? rests[i] : 0;
        }
    }
    for (; c < n; c++) sum.add(x[c]);
}

}  // namespace

void add_cells(CompensatedSum& sum, const double* x, int64_t n) { add_up(sum, x, n); }
void add_cells(CompensatedSum& sum, const float* x, int64_t n) { add_up(sum, x, n); }

}  // namespace sm
