// cbind and rbind. The result is CSR when that is better for the sum of the parts.
#include "context.h"
#include "fit.h"

#include <string.h>

#include <algorithm>
#include <vector>

namespace sm {
namespace {

struct Parts {
    std::vector<sm_matrix*> all;
    int64_t rows = 0, cols = 0, nnz = 0;
    bool sparse = false;  // some part is CSR
};

Parts parts(sm_ctx* ctx, int64_t n, sm_matrix** m, bool by_rows) {
    Parts p;
    p.all.assign(m, m + n);
    for (sm_matrix* part : p.all) {
        int64_t first = by_rows ? m[0]->cols : m[0]->rows, here = by_rows ? part->cols : part->rows;
        if (first != here) bind_misfit(by_rows, shape_of(m[0]), shape_of(part));
        p.sparse = p.sparse || is_csr(part);
        bool overflow = __builtin_add_overflow(by_rows ? p.rows : p.cols, by_rows ? part->rows : part->cols, by_rows ? &p.rows : &p.cols);
        require(!overflow, "the result is too large");
    }
    (by_rows ? p.cols : p.rows) = by_rows ? m[0]->cols : m[0]->rows;
    if (p.sparse) {
        for (sm_matrix* part : p.all) p.nnz += count_nnz(ctx, part);
        p.sparse = better_csr(p.rows, p.cols, p.nnz, m[0]->elem);
    }
    return p;
}

template <class T>
void copy_into(sm_ctx* ctx, sm_matrix* part, sm_matrix* r, int64_t row0, int64_t col0) {
    parallel_rows(ctx, part->rows, part->cols, [&](int64_t r0, int64_t r1) {
        for (int64_t i = r0; i < r1; i++) {
            T* out = row<T>(r, row0 + i) + col0;
            if (is_dense(part)) {
                memcpy(out, row<T>(part, i), size_t(part->cols) * sizeof(T));
                continue;
            }
            std::fill(out, out + part->cols, T(0));
            for (int64_t p = part->rowptr[i]; p < part->rowptr[i + 1]; p++) out[part->colidx[p]] = values<T>(part)[p];
        }
    });
}

template <class T>
Matrix cbind(sm_ctx* ctx, int64_t n, sm_matrix** m) {
    Parts p = parts(ctx, n, m, false);
    if (!p.sparse) {
        Matrix r = new_dense(ctx, p.rows, p.cols, element_of<T>);
        int64_t col = 0;
        for (sm_matrix* part : p.all) copy_into<T>(ctx, part, r.get(), 0, col), col += part->cols;
        return r;
    }
    Matrix r = new_csr(ctx, p.rows, p.cols, p.nnz, element_of<T>);
    std::vector<Matrix> csr;
    for (sm_matrix* part : p.all) csr.push_back(to_csr(ctx, part));
    for (int64_t i = 0; i <= p.rows; i++) {
        int64_t before = 0;
        for (const Matrix& part : csr) before += part->rowptr[i];
        r->rowptr[i] = before;
    }
    parallel_rows(ctx, p.rows, p.rows > 0 ? p.nnz / p.rows + 8 : 8, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            int64_t col = 0, o = r->rowptr[i];
            for (const Matrix& part : csr) {
                for (int64_t q = part->rowptr[i]; q < part->rowptr[i + 1]; q++) {
                    values<T>(r.get())[o] = values<T>(part.get())[q];
                    r->colidx[o++] = int32_t(part->colidx[q] + col);
                }
                col += part->cols;
            }
        }
    });
    return r;
}

template <class T>
Matrix rbind(sm_ctx* ctx, int64_t n, sm_matrix** m) {
    Parts p = parts(ctx, n, m, true);
    if (!p.sparse) {
        Matrix r = new_dense(ctx, p.rows, p.cols, element_of<T>);
        int64_t row = 0;
        for (sm_matrix* part : p.all) copy_into<T>(ctx, part, r.get(), row, 0), row += part->rows;
        return r;
    }
    Matrix r = new_csr(ctx, p.rows, p.cols, p.nnz, element_of<T>);
    int64_t o = 0, row = 0;
    for (sm_matrix* part : p.all) {
        Matrix csr = to_csr(ctx, part);
        parallel_chunks(ctx, csr->nnz, 1 << 17, [&](int64_t b, int64_t e) {
            memcpy(values<T>(r.get()) + o + b, values<T>(csr.get()) + b, size_t(e - b) * sizeof(T));
            memcpy(r->colidx + o + b, csr->colidx + b, size_t(e - b) * 4);
        });
        for (int64_t i = 0; i < csr->rows; i++) r->rowptr[row + i + 1] = o + csr->rowptr[i + 1];
        o += csr->nnz;
        row += csr->rows;
    }
    return r;
}

}  // namespace
}  // namespace sm

SM_API sm_matrix* sm_cbind(sm_ctx* ctx, int64_t n, sm_matrix** m) {
    return SM_ENTRY(ctx, {
        sm::require(n > 0, "cbind needs a matrix");
        return sm::with_element(m[0], [&](auto type) { return sm::cbind<decltype(type)>(ctx, n, m); }).take();
    });
}

SM_API sm_matrix* sm_rbind(sm_ctx* ctx, int64_t n, sm_matrix** m) {
    return SM_ENTRY(ctx, {
        sm::require(n > 0, "rbind needs a matrix");
        return sm::with_element(m[0], [&](auto type) { return sm::rbind<decltype(type)>(ctx, n, m); }).take();
    });
}
