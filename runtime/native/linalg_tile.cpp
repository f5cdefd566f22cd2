#include "linalg_tile.h"

#include "dispatch.h"
#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sm {
namespace {

#if defined(__x86_64__)
#define SM_AT(level) __attribute__((target("arch=x86-64-" level), optimize("O3", "fp-contract=fast")))

namespace v4 {  // 24 of 32 registers hold sums
constexpr int kBytes = 64, kRows = 8, kVectors = 3;
#define SM_LEVEL SM_AT("v4")
#define SM_MASKS 1
#include "linalg_tile.inc"
#undef SM_LEVEL
#undef SM_MASKS
}  // namespace v4

namespace v3 {  // 12 of 16
constexpr int kBytes = 32, kRows = 4, kVectors = 3;
#define SM_LEVEL SM_AT("v3")
#define SM_MASKS 0
#include "linalg_tile.inc"
#undef SM_LEVEL
#undef SM_MASKS
}  // namespace v3
#endif

namespace base {
constexpr int kBytes = 16, kRows = 4, kVectors = 2;
#define SM_LEVEL __attribute__((optimize("O3")))
#define SM_MASKS 0
#include "linalg_tile.inc"
#undef SM_LEVEL
#undef SM_MASKS
}  // namespace base

}  // namespace

template <class T>
const Tile<T>& tile() {
#if defined(__x86_64__)
    static const int32_t level = processor_level();
    if (level >= 4) return v4::kTile<T>;
    if (level == 3) return v3::kTile<T>;
#endif
    return base::kTile<T>;
}
template const Tile<double>& tile();
template const Tile<float>& tile();

}  // namespace sm
