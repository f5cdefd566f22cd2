// Programs that carry their kernels for several levels of the processor (x86-64-v2, -v3, -v4).
#ifndef SYSMLC_DISPATCH_H
#define SYSMLC_DISPATCH_H

#include "sysmlc.h"

typedef struct sm_kernel_levels {
    sm_cell_fn* variants;                // what launches look into
    int64_t n_variants;
    const sm_cell_fn* const* by_level;  // the same for each level
} sm_kernel_levels;

typedef struct sm_dispatch {
    int64_t n_levels;
    const int32_t* levels;  // ascending: 2, 3, 4
    int64_t n_kernels;
    const sm_kernel_levels* kernels;
} sm_dispatch;

// Takes the highest level that the processor can do, and at most $SYSMLC_CPU_LEVEL. Where it can do none of them, the process ends
// with a message: there is no code that it could run.
SM_API void sm_choose_level(const sm_dispatch* program);

#ifdef __cplusplus
namespace sm {
int32_t processor_level() noexcept;  // that level: 2, 3 or 4, and 0 on other processors
}
#endif

#endif
