#include "csr_union.h"

#include <cstring>
#include <vector>

namespace sm {

static bool same_structure(const sm_matrix* a, const sm_matrix* b) {
    return a->nnz == b->nnz && std::memcmp(a->rowptr, b->rowptr, size_t(a->rows + 1) * sizeof(int64_t)) == 0 &&
           std::memcmp(a->colidx, b->colidx, size_t(a->nnz) * sizeof(int32_t)) == 0;
}

Matrix union_structure(sm_ctx* ctx, const Matrix& a, const Matrix& b) {
    if (same_structure(a.get(), b.get())) return a;
    constexpr int64_t kRows = 1 << 10;  // of a task
    const int64_t rows = a->rows, tasks = (rows + kRows - 1) / kRows;
    std::vector<int64_t> starts(size_t(rows) + 1, 0);
    auto each_row = [&](auto&& visit) {
        parallel_for(ctx, tasks, [&](int64_t t) {
            for (int64_t r = t * kRows; r < std::min(rows, (t + 1) * kRows); r++) visit(r);
        });
    };
    each_row([&](int64_t r) { starts[size_t(r) + 1] = union_count(a.get(), b.get(), r); });
    for (int64_t r = 0; r < rows; r++) starts[size_t(r) + 1] += starts[size_t(r)];
    Matrix made = new_csr(ctx, rows, a->cols, starts[size_t(rows)], a->elem);
    std::memcpy(made->rowptr, starts.data(), starts.size() * sizeof(int64_t));
    each_row([&](int64_t r) { union_columns(a.get(), b.get(), r, made->colidx + made->rowptr[r]); });
    return made;
}

}  // namespace sm
