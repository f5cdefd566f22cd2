// Portable SIMD for the few loops the runtime writes itself: GCC vector types, compiled for several instruction sets.
#pragma once

#include <cstring>

#pragma GCC diagnostic ignored "-Wpsabi"  // the vector helpers are always inlined: no call passes one

// Chosen by the features of the processor: levels of the instruction set, not names of models, which the resolver
// would compare exactly. Products and sums may contract to fused multiply-adds where the processor has these.
#if defined(__x86_64__)
#define SM_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4"), optimize("O3", "fp-contract=fast")))
// The same without contraction, for results that are defined to the bit.
#define SM_EXACT_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4"), optimize("O3")))
#else
#define SM_CLONES
#define SM_EXACT_CLONES
#endif

namespace sm {

typedef double v8 __attribute__((vector_size(64)));
typedef double v8u __attribute__((vector_size(64), aligned(8)));

#define SM_INLINE inline __attribute__((always_inline))

SM_INLINE v8 zero8() { return v8{}; }
SM_INLINE v8 load8(const double* p) { return *reinterpret_cast<const v8u*>(p); }
typedef float f8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef float f8u __attribute__((vector_size(32), aligned(4)));
typedef float f16u __attribute__((vector_size(64), aligned(4)));
SM_INLINE v8 load8(const float* p) { return __builtin_convertvector(*reinterpret_cast<const f8u*>(p), v8); }
SM_INLINE void store8(double* p, v8 v) { *reinterpret_cast<v8u*>(p) = v; }

// The same for vectors of any cells, by the type of the vector.
SM_INLINE void load(v8& v, const double* p) { v = load8(p); }
SM_INLINE void load(v8& v, const float* p) { v = load8(p); }
SM_INLINE void load(f8& v, const float* p) { v = *reinterpret_cast<const f8u*>(p); }
SM_INLINE void load(f16& v, const float* p) { v = *reinterpret_cast<const f16u*>(p); }
SM_INLINE void store(double* p, v8 v) { store8(p, v); }
SM_INLINE void store(float* p, f8 v) { *reinterpret_cast<f8u*>(p) = v; }
SM_INLINE void store(float* p, f16 v) { *reinterpret_cast<f16u*>(p) = v; }
SM_INLINE double sum8(v8 v) {
    auto four = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
    auto two = __builtin_shufflevector(four, four, 0, 1) + __builtin_shufflevector(four, four, 2, 3);
    return two[0] + two[1];
}

}  // namespace sm
