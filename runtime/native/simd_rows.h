// Rows of dense operands, walked in strips that stay in registers: what products with sparse operands are made of.
#pragma once

#include "simd.h"

#include <algorithm>
#include <cstdint>

namespace sm {

void add_into(double* out, const double* x, int64_t n);  // out[0..n) += x[0..n)

// A strip is at most 64 columns wide, in W vectors, 8 (W - 1) < n <= 8 W. The last vector overlaps the one before, so that
// nothing is read or written beyond the strip: both hold the same cells of what they share.

// What a row of a strip holds: load(p) .. store(p).
template <int W>
struct Strip {
    v8 s[W];

    SM_INLINE void load(const double* p, int64_t last) {
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) s[w] = load8(p + 8 * w);
        s[W - 1] = load8(p + last);
    }
    SM_INLINE void store(double* p, int64_t last) const {
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) store8(p + 8 * w, s[w]);
        store8(p + last, s[W - 1]);
    }
    SM_INLINE void add(const double* p, int64_t last, double x) {  // s += x * p[0..n)
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) s[w] += load8(p + 8 * w) * x;
        s[W - 1] += load8(p + last) * x;
    }
    SM_INLINE void add_to(double* p, int64_t last, double x) const {  // p[0..n) += x * s
        v8 tail = load8(p + last) + s[W - 1] * x;                     // read before a store that overlaps it
#pragma GCC unroll 8
        for (int w = 0; w < W - 1; w++) store8(p + 8 * w, load8(p + 8 * w) + s[w] * x);
        store8(p + last, tail);
    }
};

// The same for less than 8 columns.
template <int N>
struct Few {
    double s[N];

    SM_INLINE void load(const double* p, int64_t) {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) s[c] = p[c];
    }
    SM_INLINE void store(double* p, int64_t) const {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) p[c] = s[c];
    }
    SM_INLINE void add(const double* p, int64_t, double x) {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) s[c] += p[c] * x;
    }
    SM_INLINE void add_to(double* p, int64_t, double x) const {
#pragma GCC unroll 8
        for (int c = 0; c < N; c++) p[c] += s[c] * x;
    }
};

// Calls f(strip, first column, last) for each strip of n columns; `strip` is a Strip or a Few, for its type. What is left over
// is never narrower than 8 unless n is.
template <class F>
SM_INLINE void for_strips(int64_t n, F&& f) {
    for (int64_t j = 0; j < n;) {
        int64_t rest = n - j, width = rest <= 64 ? rest : rest < 72 ? 56 : 64;
        switch (width < 8 ? width : 7 + (width + 7) / 8) {
            case 1: f(Few<1>{}, j, 0); break;
            case 2: f(Few<2>{}, j, 0); break;
            case 3: f(Few<3>{}, j, 0); break;
            case 4: f(Few<4>{}, j, 0); break;
            case 5: f(Few<5>{}, j, 0); break;
            case 6: f(Few<6>{}, j, 0); break;
            case 7: f(Few<7>{}, j, 0); break;
            case 8: f(Strip<1>{}, j, width - 8); break;
            case 9: f(Strip<2>{}, j, width - 8); break;
            case 10: f(Strip<3>{}, j, width - 8); break;
            case 11: f(Strip<4>{}, j, width - 8); break;
            case 12: f(Strip<5>{}, j, width - 8); break;
            case 13: f(Strip<6>{}, j, width - 8); break;
            case 14: f(Strip<7>{}, j, width - 8); break;
            default: f(Strip<8>{}, j, width - 8); break;
        }
        j += width;
    }
}

}  // namespace sm
