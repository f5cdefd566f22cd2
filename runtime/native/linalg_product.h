// Matrix products by storage format; `sm_matmul` picks one.
#pragma once

#include <vector>

#include "core.h"

namespace sm {

SM_API sm_matrix* sm_t(sm_ctx* ctx, sm_matrix* X);

// Row ranges of a CSR matrix with about equal numbers of non-zeros: `n + 1` bounds. Fixed by the matrix alone.
struct RowBlocks {
    RowBlocks(const sm_matrix* m, int64_t work_per_nnz);
    ~RowBlocks();
    RowBlocks(const RowBlocks&) = delete;
    RowBlocks& operator=(const RowBlocks&) = delete;
    int64_t n;
    int64_t* bounds;
};

Matrix product_dense(sm_ctx* ctx, const sm_matrix* a, bool ta, const sm_matrix* b, bool tb);
std::vector<Matrix> products_dense(sm_ctx* ctx, const sm_matrix* a, bool ta, const std::vector<sm_matrix*>& rights, bool tb);
Matrix product_csr_dense(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b);
Matrix product_csr_transposed_dense(sm_ctx* ctx, sm_matrix* a, const sm_matrix* b);  // t(a) %*% b
Matrix product_dense_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b);
Matrix product_csr_csr(sm_ctx* ctx, const sm_matrix* a, const sm_matrix* b);
void mirror(sm_ctx* ctx, double* c, int64_t n);  // the upper triangle to the lower one
Matrix self_product_dense(sm_ctx* ctx, const sm_matrix* x);  // t(x) %*% x
Matrix self_product_csr(sm_ctx* ctx, sm_matrix* x);

}  // namespace sm
