// Choosing the kernels of a program by what the processor can do: its features, never its name.
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>

namespace sm {
namespace {

int32_t best_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    auto can3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    auto can4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return !can3 ? 2 : !can4 ? 3 : 4;
#else
    return 0;
#endif
}

}  // namespace

int32_t processor_level() noexcept {
    int32_t can = best_level();
    if (const char* most = getenv("SYSMLC_CPU_LEVEL"))
        if (atoi(most) > 0 && atoi(most) < can) can = atoi(most);
    return can;
}

}  // namespace sm

SM_API void sm_choose_level(const sm_dispatch* program) {
    int32_t can = sm::processor_level();
    int64_t chosen = -1;
    for (int64_t i = 0; i < program->n_levels; i++)
        if (program->levels[i] <= can) chosen = i;
    if (chosen < 0) {
        fprintf(stderr, "error: this program needs a processor that can do x86-64-v%d\n", program->levels[0]);
        exit(1);
    }
    for (int64_t k = 0; k < program->n_kernels; k++) {
        const sm_kernel_levels& kernel = program->kernels[k];
        for (int64_t v = 0; v < kernel.n_variants; v++) kernel.variants[v] = kernel.by_level[chosen][v];
    }
}
