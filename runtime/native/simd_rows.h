// Rows of dense operands, walked in strips that stay in registers: what products with sparse operands are made of.
#pragma once

#include "simd.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace sm {

void add_into(double* out, const double* x, int64_t n);  // out[0..n) += x[0..n)
void add_into(float* out, const float* x, int64_t n);

// A strip is at most 8 vectors of 64 bytes wide: W vectors V of n cells, n (W - 1) < width <= n W. The last vector overlaps the
// one before, so that nothing is read or written beyond the strip: both hold the same cells of what they share. What is
// read may be f32 where V has f64.

// What a row of a strip holds: load(p) .. store(p).
template <class V, int W>
struct Strip {
    static constexpr int64_t n = sizeof(V) / sizeof(V{}[0]);
    V s[W];

    template <class T>
    SM_INLINE static V at(const T* p) {
        V v;
        sm::load(v, p);
        return v;
    }
    template <class T>
    SM_INLINE void load(const T* p, int64_t last) {
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) s[w] = at(p + n * w);
        s[W - 1] = at(p + last);
    }
    template <class T>
    SM_INLINE void store(T* p, int64_t last) const {
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) sm::store(p + n * w, s[w]);
        sm::store(p + last, s[W - 1]);
    }
    template <class T>
    SM_INLINE void add(const T* p, int64_t last, T x) {  // s += x * p[0..width)
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) s[w] += at(p + n * w) * x;
        s[W - 1] += at(p + last) * x;
    }
    template <class T>
    SM_INLINE void add_to(T* p, int64_t last, T x) const {  // p[0..width) += x * s
        V tail = at(p + last) + s[W - 1] * x;               // read before a store that overlaps it
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) sm::store(p + n * w, at(p + n * w) + s[w] * x);
        sm::store(p + last, tail);
    }
};

// The same for less than 8 columns.
template <class S, int N>
struct Few {
    S s[N];

    template <class T>
    SM_INLINE void load(const T* p, int64_t) {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) s[c] = p[c];
    }
    template <class T>
    SM_INLINE void store(T* p, int64_t) const {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) p[c] = s[c];
    }
    template <class T>
    SM_INLINE void add(const T* p, int64_t, T x) {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) s[c] += p[c] * x;
    }
    template <class T>
    SM_INLINE void add_to(T* p, int64_t, T x) const {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) p[c] += s[c] * x;
    }
};

// Calls f(strip, first column, last) for each strip of n columns that holds cells of type S; `strip` is a Strip or a Few, for its
// type. What is left over is never narrower than a vector unless n is.
template <class S, class F>
SM_INLINE void for_strips(int64_t n, F&& f) {
    constexpr bool kSingle = sizeof(S) == sizeof(float);
    using V = std::conditional_t<kSingle, f16, v8>;
    constexpr int64_t kLanes = Strip<V, 1>::n;
    for (int64_t j = 0; j < n;) {
        int64_t rest = n - j, width = rest <= 8 * kLanes ? rest : rest < 9 * kLanes ? 7 * kLanes : 8 * kLanes;
        switch (width < 8 ? width : width < kLanes ? 8 : 8 + (width + kLanes - 1) / kLanes) {
            case 1: f(Few<S, 1>{}, j, 0); break;
            case 2: f(Few<S, 2>{}, j, 0); break;
            case 3: f(Few<S, 3>{}, j, 0); break;
            case 4: f(Few<S, 4>{}, j, 0); break;
            case 5: f(Few<S, 5>{}, j, 0); break;
            case 6: f(Few<S, 6>{}, j, 0); break;
            case 7: f(Few<S, 7>{}, j, 0); break;
            case 8:  // half a vector and more
                if constexpr (kSingle) f(Strip<f8, 2>{}, j, width - 8);
                break;
            case 9: f(Strip<V, 1>{}, j, width - kLanes); break;
            case 10: f(Strip<V, 2>{}, j, width - kLanes); break;
            case 11: f(Strip<V, 3>{}, j, width - kLanes); break;
            case 12: f(Strip<V, 4>{}, j, width - kLanes); break;
            case 13: f(Strip<V, 5>{}, j, width - kLanes); break;
            case 14: f(Strip<V, 6>{}, j, width - kLanes); break;
            case 15: f(Strip<V, 7>{}, j, width - kLanes); break;
            default: f(Strip<V, 8>{}, j, width - kLanes); break;
        }
        j += width;
    }
}

}  // namespace sm
