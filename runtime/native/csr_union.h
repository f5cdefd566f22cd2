// The union of the structures of CSR matrices, row by row.
#pragma once

#include "core.h"

#include <algorithm>

namespace sm {

// Columns that row r of a or of b has.
inline int64_t union_count(const sm_matrix* a, const sm_matrix* b, int64_t r) {
    int64_t p = a->rowptr[r], q = b->rowptr[r], pe = a->rowptr[r + 1], qe = b->rowptr[r + 1];
    int64_t common = 0, all = (pe - p) + (qe - q);
    while (p < pe && q < qe) {
        int32_t ca = a->colidx[p], cb = b->colidx[q];
        common += ca == cb;
        p += ca <= cb;
        q += cb <= ca;
    }
    return all - common;
}

// Those columns, in order.
inline void union_columns(const sm_matrix* a, const sm_matrix* b, int64_t r, int32_t* out) {
    int64_t p = a->rowptr[r], q = b->rowptr[r], pe = a->rowptr[r + 1], qe = b->rowptr[r + 1];
    while (p < pe && q < qe) {
        int32_t ca = a->colidx[p], cb = b->colidx[q];
        *out++ = std::min(ca, cb);
        p += ca <= cb;
        q += cb <= ca;
    }
    out = std::copy(a->colidx + p, a->colidx + pe, out);
    std::copy(b->colidx + q, b->colidx + qe, out);
}

// A matrix whose structure is that of both, and whose values mean nothing: one of them where their structures are equal.
Matrix union_structure(sm_ctx* ctx, const Matrix& a, const Matrix& b);

}  // namespace sm
