// Sorting shared by order and the quantile family.
#pragma once

#include <vector>

#include "core.h"

namespace sm {

// A total order of doubles for ascending sorts: NaN is last.
inline bool less(double a, double b) { return a < b || (b != b && a == a); }

// The stable permutation (0-based) that sorts the rows of `m` by the 0-based columns, later ones breaking ties.
std::vector<int64_t> sorted_rows(const sm_matrix* m, const std::vector<int64_t>& by, bool decreasing);

// 0x0 matrices stand for arguments that were not given.
inline bool given(const sm_matrix* m) { return m->rows != 0 || m->cols != 0; }

}  // namespace sm
