// Matrices: construction, formats and the conversions between them.
#include "context.h"

#include <math.h>
#include <string.h>

#include <atomic>
#include <vector>

namespace sm {

int64_t checked_cells(int64_t rows, int64_t cols) {
    require(rows >= 0 && cols >= 0, "a matrix cannot have %lld rows and %lld columns", (long long)rows, (long long)cols);
    int64_t n, bytes;
    bool too_big = __builtin_mul_overflow(rows, cols, &n) || __builtin_mul_overflow(n, int64_t(16), &bytes);
    if (too_big) fail("out of memory: a dense %lld x %lld matrix is too large", (long long)rows, (long long)cols);
    return n;
}

void free_matrix_buffers(sm_matrix* m) noexcept {
    if (m->free_external) {  // offsets of CSR are the matrix's own all the same
        if (m->format == SM_CSR) free_buffer(m->rowptr, (m->rows + 1) * 8);
        return m->free_external(m->external);
    }
    if (m->flags & SM_READONLY) return;  // wrapped without an owner
    free_buffer(m->data, m->capacity * 8);
    if (m->format == SM_CSR) {
        free_buffer(m->colidx, m->capacity * 4);
        free_buffer(m->rowptr, (m->rows + 1) * 8);
    }
}

namespace {

Matrix new_header(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t format) {
    Matrix m = new_object<sm_matrix>(ctx, SM_KIND_MATRIX);
    m->flags = SM_READONLY;  // until it owns buffers
    m->rows = rows;
    m->cols = cols;
    m->nnz = -1;
    m->format = format;
    return m;
}

Matrix dense(sm_ctx* ctx, int64_t rows, int64_t cols, bool zeroed) {
    int64_t n = checked_cells(rows, cols);
    Matrix m = new_header(ctx, rows, cols, SM_DENSE);
    m->data = alloc_buffer(n * 8, zeroed);
    m->capacity = n;
    m->flags = 0;
    return m;
}

}  // namespace

Matrix new_dense(sm_ctx* ctx, int64_t rows, int64_t cols) { return dense(ctx, rows, cols, false); }

Matrix new_dense_zero(sm_ctx* ctx, int64_t rows, int64_t cols) {
    Matrix m = dense(ctx, rows, cols, true);
    m->nnz = 0;
    return m;
}

Matrix new_dense_fill(sm_ctx* ctx, int64_t rows, int64_t cols, double value) {
    if (value == 0 && !signbit(value)) return new_dense_zero(ctx, rows, cols);
    Matrix m = dense(ctx, rows, cols, false);
    double* p = values(m.get());
    parallel_chunks(ctx, m->capacity, kGrain, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) p[i] = value;
    });
    m->nnz = value == 0 ? 0 : m->capacity;
    return m;
}

Matrix new_csr(sm_ctx* ctx, int64_t rows, int64_t cols, int64_t nnz) {
    require(rows >= 0 && cols >= 0, "a matrix cannot have %lld rows and %lld columns", (long long)rows, (long long)cols);
    require(cols <= INT32_MAX, "a sparse matrix cannot have %lld columns", (long long)cols);
    if (rows > (int64_t(1) << 59) || nnz > (int64_t(1) << 59)) fail("out of memory: a sparse matrix with %lld rows is too large", (long long)rows);
    Matrix m = new_header(ctx, rows, cols, SM_CSR);
    m->rowptr = static_cast<int64_t*>(alloc_buffer((rows + 1) * 8, false));
    try {
        m->data = alloc_buffer(nnz * 8, false);
        m->colidx = static_cast<int32_t*>(alloc_buffer(nnz * 4, false));
    } catch (...) {
        free_buffer(m->rowptr, (rows + 1) * 8);
        if (m->data) free_buffer(m->data, nnz * 8);
        throw;
    }
    m->capacity = nnz;
    m->flags = 0;
    m->nnz = nnz;
    m->rowptr[0] = 0;
    m->rowptr[rows] = nnz;
    return m;
}

Matrix new_csr_empty(sm_ctx* ctx, int64_t rows, int64_t cols) {
    Matrix m = new_csr(ctx, rows, cols, 0);
    memset(m->rowptr, 0, size_t(rows + 1) * 8);
    return m;
}

Matrix copy(sm_ctx* ctx, const sm_matrix* m) {
    if (is_dense(m)) {
        Matrix r = new_dense(ctx, m->rows, m->cols);
        parallel_chunks(ctx, cells(m), 1 << 17, [&](int64_t b, int64_t e) {
            memcpy(values(r.get()) + b, values(m) + b, size_t(e - b) * 8);
        });
        r->nnz = m->nnz;
        return r;
    }
    Matrix r = new_csr(ctx, m->rows, m->cols, m->nnz);
    memcpy(r->rowptr, m->rowptr, size_t(m->rows + 1) * 8);
    parallel_chunks(ctx, m->nnz, 1 << 17, [&](int64_t b, int64_t e) {
        memcpy(values(r.get()) + b, values(m) + b, size_t(e - b) * 8);
        memcpy(r->colidx + b, m->colidx + b, size_t(e - b) * 4);
    });
    return r;
}

double csr_cell(const sm_matrix* m, int64_t i, int64_t j) noexcept {
    int64_t lo = m->rowptr[i], hi = m->rowptr[i + 1];
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (m->colidx[mid] < j) lo = mid + 1;
        else hi = mid;
    }
    return lo < m->rowptr[i + 1] && m->colidx[lo] == j ? values(m)[lo] : 0.0;
}

bool better_csr(int64_t rows, int64_t cols, int64_t nnz) {
    if (cols <= 1 || rows == 0 || cols > INT32_MAX) return false;
    double n = double(rows) * double(cols);
    return double(nnz) < 0.4 * n && double(nnz) * 12 + double(rows + 1) * 8 < n * 8;
}

namespace {

int64_t nonzeros(const double* p, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += p[i] != 0;
    return count;
}

// Counts per chunk of rows, then prefix sums: both passes run in parallel and agree on the chunks.
int64_t count_chunks(sm_ctx* ctx, const sm_matrix* m, int64_t grain, std::vector<int64_t>& counts) {
    counts.assign(size_t((m->rows + grain - 1) / grain), 0);
    parallel_chunks(ctx, m->rows, grain, [&](int64_t r0, int64_t r1) {
        counts[size_t(r0 / grain)] = nonzeros(row(m, r0), (r1 - r0) * m->cols);
    });
    int64_t total = 0;
    for (int64_t& c : counts) {
        int64_t n = c;
        c = total;
        total += n;
    }
    return total;
}

int64_t row_grain(const sm_matrix* m) { return m->cols > 0 ? (4 * kGrain) / m->cols + 1 : 4 * kGrain; }

}  // namespace

int64_t count_nnz(sm_ctx* ctx, sm_matrix* m) {
    if (m->nnz >= 0) return m->nnz;
    std::vector<int64_t> counts;
    return m->nnz = count_chunks(ctx, m, row_grain(m), counts);
}

Matrix to_dense(sm_ctx* ctx, sm_matrix* m) {
    if (is_dense(m)) return Matrix::borrow(m);
    count_conversion(ctx, SM_DENSE);
    Matrix r = new_dense_zero(ctx, m->rows, m->cols);
    parallel_rows(ctx, m->rows, m->cols, [&](int64_t r0, int64_t r1) {
        for (int64_t i = r0; i < r1; i++) {
            double* out = row(r.get(), i);
            for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++) out[m->colidx[p]] = values(m)[p];
        }
    });
    r->nnz = m->nnz;
    return r;
}

Matrix to_csr(sm_ctx* ctx, sm_matrix* m) {
    if (is_csr(m)) return Matrix::borrow(m);
    require(m->cols <= INT32_MAX, "a sparse matrix cannot have %lld columns", (long long)m->cols);
    count_conversion(ctx, SM_CSR);
    int64_t grain = row_grain(m);
    std::vector<int64_t> starts;
    m->nnz = count_chunks(ctx, m, grain, starts);
    Matrix r = new_csr(ctx, m->rows, m->cols, m->nnz);
    parallel_chunks(ctx, m->rows, grain, [&](int64_t r0, int64_t r1) {
        int64_t p = starts[size_t(r0 / grain)];
        for (int64_t i = r0; i < r1; i++) {
            r->rowptr[i] = p;
            const double* x = row(m, i);
            for (int64_t j = 0; j < m->cols; j++)
                if (x[j] != 0) {
                    values(r.get())[p] = x[j];
                    r->colidx[p++] = int32_t(j);
                }
        }
    });
    return r;
}

namespace {

bool has_zeros(sm_ctx* ctx, const sm_matrix* m) {
    std::atomic<bool> found{false};
    parallel_chunks(ctx, m->nnz, 4 * kGrain, [&](int64_t b, int64_t e) {
        if (nonzeros(values(m) + b, e - b) != e - b) found.store(true, std::memory_order_relaxed);
    });
    return found.load();
}

}  // namespace

void drop_zeros(sm_ctx*, sm_matrix* m) {
    int64_t out = 0, begin = 0;
    for (int64_t i = 0; i < m->rows; i++) {
        int64_t end = m->rowptr[i + 1];
        for (int64_t p = begin; p < end; p++)
            if (values(m)[p] != 0) {
                values(m)[out] = values(m)[p];
                m->colidx[out++] = m->colidx[p];
            }
        begin = end;
        m->rowptr[i + 1] = out;
    }
    m->nnz = out;
}

Matrix finish(sm_ctx* ctx, Matrix m) {
    if (is_csr(m.get())) {
        if (m->nnz > 0 && has_zeros(ctx, m.get())) {
            if (!reusable(m.get())) m = copy(ctx, m.get());
            drop_zeros(ctx, m.get());
        }
        return better_csr(m->rows, m->cols, m->nnz) ? m : to_dense(ctx, m.get());
    }
    if (m->cols <= 1) return m;
    return better_csr(m->rows, m->cols, count_nnz(ctx, m.get())) ? to_csr(ctx, m.get()) : m;
}

std::string shape(const sm_matrix* m) { return std::to_string(m->rows) + "x" + std::to_string(m->cols); }

}  // namespace sm

// Format changes that the compiler asks for. One column is always dense.
static sm_matrix* planned(sm_ctx* ctx, sm_matrix* from, sm::Matrix to) {
    sm::context(ctx)->stats.planned += from->format != to->format;
    return to.take();
}
// What would fill the memory is left to the operators, which may not need it after all.
SM_API sm_matrix* sm_to_dense(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, {
        if (sm::is_csr(m) && double(m->rows) * double(m->cols) * 8 > double(sm::physical_memory()) / 2) return sm::Matrix::borrow(m).take();
        return planned(ctx, m, sm::to_dense(ctx, m));
    });
}
SM_API sm_matrix* sm_to_csr(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return planned(ctx, m, m->cols == 1 ? sm::to_dense(ctx, m) : sm::to_csr(ctx, m)); });
}
SM_API sm_matrix* sm_to_smaller(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return planned(ctx, m, sm::finish(ctx, sm::Matrix::borrow(m))); });
}
SM_API int64_t sm_nnz(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return sm::count_nnz(ctx, m); });
}
