// Matrices: construction, formats and the conversions between them.
#include "edit.h"

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
    delete m->edits;
    if (m->free_external) {  // offsets of CSR are the matrix's own all the same
        if (m->format == SM_CSR) free_buffer(m->rowptr, (m->rows + 1) * 8);
        return m->free_external(m->external);
    }
    if (m->flags & SM_READONLY) return;  // wrapped without an owner
    free_buffer(m->data, m->capacity * cell_size(m->elem));
    if (m->format == SM_CSR) {
        free_buffer(m->colidx, m->capacity * 4);
        free_buffer(m->rowptr, (m->rows + 1) * 8);
    }
}

namespace {

Matrix new_header(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t format, uint8_t elem) {
    Matrix m = new_object<sm_matrix>(ctx, SM_KIND_MATRIX);
    m->flags = SM_READONLY;  // until it owns buffers
    m->rows = rows;
    m->cols = cols;
    m->nnz = -1;
    m->format = format;
    m->elem = elem;
    return m;
}

Matrix dense(sm_ctx* ctx, int64_t rows, int64_t cols, bool zeroed, uint8_t elem) {
    int64_t n = checked_cells(rows, cols);
    Matrix m = new_header(ctx, rows, cols, SM_DENSE, elem);
    m->data = alloc_buffer(n * cell_size(elem), zeroed);
    m->capacity = n;
    m->flags = 0;
    return m;
}

}  // namespace

uint8_t element_named(const char* name) { return strcmp(name, "f32") == 0 ? SM_F32 : SM_F64; }

Matrix new_dense(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem) { return dense(ctx, rows, cols, false, elem); }

Matrix new_dense_zero(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem) {
    Matrix m = dense(ctx, rows, cols, true, elem);
    m->nnz = 0;
    return m;
}

Matrix new_dense_fill(sm_ctx* ctx, int64_t rows, int64_t cols, double value, uint8_t elem) {
    if (value == 0 && !signbit(value)) return new_dense_zero(ctx, rows, cols, elem);
    Matrix m = dense(ctx, rows, cols, false, elem);
    with_element(elem, [&](auto type) {
        using T = decltype(type);
        T *p = values<T>(m.get()), v = static_cast<T>(value);
        parallel_chunks(ctx, m->capacity, kGrain, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) p[i] = v;
        });
        m->nnz = v == 0 ? 0 : m->capacity;
    });
    return m;
}

Matrix new_csr(sm_ctx* ctx, int64_t rows, int64_t cols, int64_t nnz, uint8_t elem) {
    require(rows >= 0 && cols >= 0, "a matrix cannot have %lld rows and %lld columns", (long long)rows, (long long)cols);
    require(cols <= INT32_MAX, "a sparse matrix cannot have %lld columns", (long long)cols);
    if (rows > (int64_t(1) << 59) || nnz > (int64_t(1) << 59)) fail("out of memory: a sparse matrix with %lld rows is too large", (long long)rows);
    Matrix m = new_header(ctx, rows, cols, SM_CSR, elem);
    m->rowptr = static_cast<int64_t*>(alloc_buffer((rows + 1) * 8, false));
    try {
        m->data = alloc_buffer(nnz * cell_size(elem), false);
        m->colidx = static_cast<int32_t*>(alloc_buffer(nnz * 4, false));
    } catch (...) {
        free_buffer(m->rowptr, (rows + 1) * 8);
        if (m->data) free_buffer(m->data, nnz * cell_size(elem));
        throw;
    }
    m->capacity = nnz;
    m->flags = 0;
    m->nnz = nnz;
    m->rowptr[0] = 0;
    m->rowptr[rows] = nnz;
    return m;
}

Matrix new_csr_empty(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem) {
    Matrix m = new_csr(ctx, rows, cols, 0, elem);
    memset(m->rowptr, 0, size_t(rows + 1) * 8);
    return m;
}

namespace {

void copy_values(sm_ctx* ctx, const sm_matrix* from, sm_matrix* to, int64_t n) {
    int64_t size = cell_size(from->elem);
    parallel_chunks(ctx, n * size, 1 << 20, [&](int64_t b, int64_t e) {
        memcpy(static_cast<char*>(to->data) + b, static_cast<const char*>(from->data) + b, size_t(e - b));
    });
}

void copy_structure(sm_ctx* ctx, const sm_matrix* from, sm_matrix* to) {
    memcpy(to->rowptr, from->rowptr, size_t(from->rows + 1) * 8);
    parallel_chunks(ctx, from->nnz, 1 << 18, [&](int64_t b, int64_t e) { memcpy(to->colidx + b, from->colidx + b, size_t(e - b) * 4); });
}

}  // namespace

Matrix look_into(sm_ctx* ctx, sm_matrix* m, int64_t first, int64_t rows, int64_t cols) {
    Matrix r = new_header(ctx, rows, cols, SM_DENSE, m->elem);
    r->data = static_cast<char*>(m->data) + first * cell_size(m->elem);
    r->capacity = rows * cols;
    r->external = Matrix::borrow(m).take();
    r->flags |= SM_VIEW;
    return r;
}

Matrix copy(sm_ctx* ctx, const sm_matrix* m) {
    Matrix r = is_dense(m) ? new_dense(ctx, m->rows, m->cols, m->elem) : new_csr(ctx, m->rows, m->cols, m->nnz, m->elem);
    copy_values(ctx, m, r.get(), is_dense(m) ? cells(m) : m->nnz);
    if (is_csr(m)) copy_structure(ctx, m, r.get());
    r->nnz = m->nnz;
    return r;
}

// Rounding to f32 may make zeros, which stay stored as such until somebody counts.
Matrix rounded(sm_ctx* ctx, sm_matrix* m, uint8_t elem) {
    if (m->elem == elem) return Matrix::borrow(m);
    bool csr = is_csr(m);
    int64_t n = csr ? m->nnz : cells(m);
    Matrix r = csr ? new_csr(ctx, m->rows, m->cols, n, elem) : new_dense(ctx, m->rows, m->cols, elem);
    auto convert = [&](auto from, auto to) {
        const decltype(from)* x = values<decltype(from)>(m);
        decltype(to)* y = values<decltype(to)>(r.get());
        parallel_chunks(ctx, n, 4 * kGrain, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; i++) y[i] = static_cast<decltype(to)>(x[i]);
        });
    };
    if (elem == SM_F64) convert(float(), double());
    else convert(double(), float());
    if (csr) copy_structure(ctx, m, r.get());
    else r->nnz = elem == SM_F64 ? m->nnz : -1;
    return csr && elem == SM_F32 ? finish(ctx, std::move(r)) : r;
}

Matrix to_element(sm_ctx* ctx, sm_matrix* m, uint8_t elem) {
    if (m->elem != elem) count_element_conversion(ctx, elem);
    return rounded(ctx, m, elem);
}

double csr_cell(const sm_matrix* m, int64_t i, int64_t j) noexcept { return m->edits ? edited_cell(m, i, j) : settled_cell(m, i, j); }

double settled_cell(const sm_matrix* m, int64_t i, int64_t j) noexcept {
    int64_t lo = m->rowptr[i], hi = m->rowptr[i + 1];
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (m->colidx[mid] < j) lo = mid + 1;
        else hi = mid;
    }
    if (lo == m->rowptr[i + 1] || m->colidx[lo] != j) return 0.0;
    return is_single(m) ? double(values<float>(m)[lo]) : values(m)[lo];
}

bool better_csr(int64_t rows, int64_t cols, int64_t nnz, uint8_t elem) {
    if (cols <= 1 || rows == 0 || cols > INT32_MAX) return false;
    double n = double(rows) * double(cols);
    return double(nnz) < 0.4 * n && double(nnz * (cell_size(elem) + 4)) + double(rows + 1) * 8 < n * double(cell_size(elem));
}

namespace {

template <class T>
int64_t nonzeros(const T* p, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += p[i] != 0;
    return count;
}

// Counts per chunk of rows, then prefix sums: both passes run in parallel and agree on the chunks.
int64_t count_chunks(sm_ctx* ctx, const sm_matrix* m, int64_t grain, std::vector<int64_t>& counts) {
    counts.assign(size_t((m->rows + grain - 1) / grain), 0);
    with_element(m, [&](auto type) {
        parallel_chunks(ctx, m->rows, grain, [&](int64_t r0, int64_t r1) {
            counts[size_t(r0 / grain)] = nonzeros(row<decltype(type)>(m, r0), (r1 - r0) * m->cols);
        });
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
    Matrix r = new_dense_zero(ctx, m->rows, m->cols, m->elem);
    with_element(m, [&](auto type) {
        using T = decltype(type);
        const T* x = values<T>(m);
        parallel_rows(ctx, m->rows, m->cols, [&](int64_t r0, int64_t r1) {
            for (int64_t i = r0; i < r1; i++) {
                T* out = row<T>(r.get(), i);
                for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++) out[m->colidx[p]] = x[p];
            }
        });
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
    Matrix r = new_csr(ctx, m->rows, m->cols, m->nnz, m->elem);
    with_element(m, [&](auto type) {
        using T = decltype(type);
        T* out = values<T>(r.get());
        parallel_chunks(ctx, m->rows, grain, [&](int64_t r0, int64_t r1) {
            int64_t p = starts[size_t(r0 / grain)];
            for (int64_t i = r0; i < r1; i++) {
                r->rowptr[i] = p;
                const T* x = row<T>(m, i);
                for (int64_t j = 0; j < m->cols; j++)
                    if (x[j] != 0) {
                        out[p] = x[j];
                        r->colidx[p++] = int32_t(j);
                    }
            }
        });
    });
    return r;
}

namespace {

bool has_zeros(sm_ctx* ctx, const sm_matrix* m) {
    std::atomic<bool> found{false};
    with_element(m, [&](auto type) {
        parallel_chunks(ctx, m->nnz, 4 * kGrain, [&](int64_t b, int64_t e) {
            if (nonzeros(values<decltype(type)>(m) + b, e - b) != e - b) found.store(true, std::memory_order_relaxed);
        });
    });
    return found.load();
}

}  // namespace

void drop_zeros(sm_ctx*, sm_matrix* m) {
    with_element(m, [&](auto type) {
        auto* x = values<decltype(type)>(m);
        int64_t out = 0, begin = 0;
        for (int64_t i = 0; i < m->rows; i++) {
            int64_t end = m->rowptr[i + 1];
            for (int64_t p = begin; p < end; p++)
                if (x[p] != 0) {
                    x[out] = x[p];
                    m->colidx[out++] = m->colidx[p];
                }
            begin = end;
            m->rowptr[i + 1] = out;
        }
        m->nnz = out;
    });
}

Matrix finish(sm_ctx* ctx, Matrix m) {
    if (is_csr(m.get())) {
        if (m->nnz > 0 && has_zeros(ctx, m.get())) {
            if (!reusable(m.get())) m = copy(ctx, m.get());
            drop_zeros(ctx, m.get());
        }
        return better_csr(m->rows, m->cols, m->nnz, m->elem) ? m : to_dense(ctx, m.get());
    }
    if (m->cols <= 1) return m;
    return better_csr(m->rows, m->cols, count_nnz(ctx, m.get()), m->elem) ? to_csr(ctx, m.get()) : m;
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
        if (sm::is_csr(m) && sm::fills_memory(m->rows, m->cols, m->elem)) return sm::Matrix::borrow(m).take();
        return planned(ctx, m, sm::to_dense(ctx, m));
    });
}
SM_API sm_matrix* sm_to_csr(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return planned(ctx, m, m->cols == 1 ? sm::to_dense(ctx, m) : sm::to_csr(ctx, m)); });
}
SM_API sm_matrix* sm_to_smaller(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return planned(ctx, m, sm::finish(ctx, sm::Matrix::borrow(m))); });
}
// Element changes that the compiler asks for.
SM_API sm_matrix* sm_to_f64(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return sm::to_element(ctx, m, SM_F64).take(); });
}
SM_API sm_matrix* sm_to_f32(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return sm::to_element(ctx, m, SM_F32).take(); });
}
SM_API int64_t sm_nnz(sm_ctx* ctx, sm_matrix* m) {
    return SM_ENTRY(ctx, { return sm::count_nnz(ctx, m); });
}
