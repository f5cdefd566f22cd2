// Values that come from and go to an embedding host: NumPy arrays and SciPy matrices.
#include "context.h"
#include "simd.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <memory>

namespace sm {
namespace {

template <class T, class Ptr, class Index>
Matrix import_csr(sm_ctx* ctx, int64_t rows, int64_t cols, const T* data, const Ptr* rowptr, const Index* colidx) {
    require(rowptr[0] == 0, "sparse input: row offsets must start at 0");
    for (int64_t i = 0; i < rows; i++) require(rowptr[i] <= rowptr[i + 1], "sparse input: row offsets must ascend");
    Matrix r = new_csr(ctx, rows, cols, int64_t(rowptr[rows]), element_of<T>);
    for (int64_t i = 0; i <= rows; i++) r->rowptr[i] = int64_t(rowptr[i]);
    parallel_chunks(ctx, rows, 4096, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; i++) {
            int64_t last = -1;
            for (int64_t p = r->rowptr[i]; p < r->rowptr[i + 1]; p++) {
                int64_t c = int64_t(colidx[p]);
                require(c > last && c < cols, "sparse input: columns must ascend within a row and stay below %lld", (long long)cols);
                r->colidx[p] = int32_t(last = c);
                values<T>(r.get())[p] = data[p];
            }
        }
    });
    return r;
}

// Of a stretch of entries: those whose column does not ascend to the next one, cells that are 0, and the largest column.
struct Entries {
    int64_t descents = 0, zeros = 0;
    uint32_t largest = 0;
};

// Also tells of each entry whether its column descends. `more`: an entry follows the last one.
template <class T>
SM_INLINE Entries look(const T* v, const int32_t* c, int64_t n, bool more, uint8_t* descends) {
    constexpr int64_t kStep = 256, kAhead = 512;
    Entries seen;
    int64_t p = 0;
    for (; p + kStep < n + more; p += kStep) {
        for (int64_t k = p; k < p + kStep; k += 8) __builtin_prefetch(v + k + kAhead);
        for (int64_t k = p; k < p + kStep; k += 16) __builtin_prefetch(c + k + kAhead);
        int32_t descents = 0, zeros = 0;
        for (int64_t k = p; k < p + kStep; k++) descends[k] = c[k + 1] <= c[k];
        for (int64_t k = p; k < p + kStep; k++) seen.largest = std::max(seen.largest, uint32_t(c[k]));
        for (int64_t k = p; k < p + kStep; k++) descents += descends[k];
        for (int64_t k = p; k < p + kStep; k++) zeros += v[k] == 0;
        seen.descents += descents;
        seen.zeros += zeros;
    }
    for (; p < n; p++) {
        seen.descents += descends[p] = (p + 1 < n || more) && c[p + 1] <= c[p];
        seen.zeros += v[p] == 0;
        seen.largest = std::max(seen.largest, uint32_t(c[p]));
    }
    return seen;
}

SM_EXACT_CLONES Entries look_at(const double* v, const int32_t* c, int64_t n, bool more, uint8_t* descends) { return look(v, c, n, more, descends); }
SM_EXACT_CLONES Entries look_at(const float* v, const int32_t* c, int64_t n, bool more, uint8_t* descends) { return look(v, c, n, more, descends); }

// Copies offsets [1, n] after the first one; whether all ascend and lie within [first, last].
template <class Ptr>
SM_INLINE bool copy_offsets(const Ptr* from, int64_t* to, int64_t n, int64_t first, int64_t last) {
    int32_t wrong = 0;
    for (int64_t i = 1; i <= n; i++) {
        wrong |= (from[i] < from[i - 1]) | (from[i] < first) | (from[i] > last);
        to[i] = from[i];
    }
    return !wrong;
}
SM_EXACT_CLONES bool offsets(const int32_t* from, int64_t* to, int64_t n, int64_t first, int64_t last) { return copy_offsets(from, to, n, first, last); }
SM_EXACT_CLONES bool offsets(const int64_t* from, int64_t* to, int64_t n, int64_t first, int64_t last) { return copy_offsets(from, to, n, first, last); }

// CSR over the host's values and columns; offsets are copied, because hosts have them in 4 bytes. Nothing when columns do
// not ascend within the rows. One scan, by the speed of the memory: columns may descend only where a row begins. Work is cut
// along entries and rows together, so neither a row of very many entries nor very many empty rows are one thread's.
template <class T, class Ptr>
Matrix wrap_csr(sm_ctx* ctx, int64_t rows, int64_t cols, T* data, const Ptr* rowptr, int32_t* colidx, bool& has_zeros) {
    constexpr int64_t kUnits = 32768;  // entries and rows of a task: they stay in the second cache
    require(rows >= 0 && cols >= 0, "sparse input: negative size");
    require(rowptr[0] == 0, "sparse input: row offsets must start at 0");
    Matrix r = new_csr(ctx, rows, cols, 0, element_of<T>);
    int64_t nnz = int64_t(rowptr[rows]);
    require(nnz >= 0, "sparse input: row offsets must ascend");
    std::atomic<int64_t> misplaced{0}, zeros{0};
    int64_t n = (nnz + rows) / kUnits + 1;
    struct Place {
        int64_t row, entry;
    };
    auto place = [&](int64_t t) {  // where entries and rows before it are t / n of all
        if (t == 0 || t == n) return t ? Place{rows, nnz} : Place{0, 0};
        int64_t before = (nnz + rows) / n * t, low = 0, high = rows;
        while (low < high) {
            int64_t mid = (low + high + 1) / 2;
            if (int64_t(rowptr[mid]) + mid <= before) low = mid;
            else high = mid - 1;
        }
        return Place{low, std::min(before - low, nnz)};
    };
    parallel_for(ctx, n, [&](int64_t t) {
        Place from = place(t), to = place(t + 1);
        int64_t entries = to.entry - from.entry;
        require(from.row <= to.row && entries >= 0, "sparse input: row offsets must ascend");
        std::unique_ptr<uint8_t[]> memory(new uint8_t[size_t(entries + 1)]);
        uint8_t* descends = memory.get() + 1;  // of the entries from `from.entry - 1` on
        descends[-1] = from.entry > 0 && from.entry < nnz && colidx[from.entry] <= colidx[from.entry - 1];
        Entries seen = look_at(data + from.entry, colidx + from.entry, entries, to.entry < nnz, descends);
        require(entries == 0 || seen.largest < uint64_t(cols), "sparse input: columns must stay below %lld", (long long)cols);
        const Ptr* begin = rowptr + from.row;
        bool ascend = offsets(begin, r->rowptr + from.row, to.row - from.row, from.entry, to.entry);
        require(ascend, "sparse input: row offsets must ascend");
        int64_t starts = 0;
        for (int64_t i = 0; i < to.row - from.row; i++) starts += descends[int64_t(begin[i + 1]) - 1 - from.entry] & (begin[i + 1] > begin[i]);
        misplaced += seen.descents - starts;
        zeros += seen.zeros;
    });
    if (misplaced.load() != 0) return Matrix();
    free_buffer(r->data, 0);
    free_buffer(r->colidx, 0);
    r->data = data;
    r->colidx = colidx;
    r->nnz = r->capacity = nnz;
    r->flags = SM_READONLY;
    has_zeros = zeros.load() > 0;
    return r;
}

template <class T>
sm_matrix* wrap(sm_ctx* ctx, int64_t rows, int64_t cols, T* data, void (*free_external)(void*), void* external) {
    try {
        checked_cells(rows, cols);
        Matrix m = new_object<sm_matrix>(ctx, SM_KIND_MATRIX);
        m->rows = rows;
        m->cols = cols;
        m->nnz = -1;
        m->elem = element_of<T>;
        m->flags = SM_READONLY;
        m->data = data;
        m->capacity = rows * cols;
        m->free_external = free_external;
        m->external = external;
        return m.take();
    } catch (...) {
        if (free_external) free_external(external);
        throw;
    }
}

// Nothing when columns do not ascend; `done(owner)` is called then and when it fails.
template <class T>
Matrix smaller_view(sm_ctx* ctx, int64_t rows, int64_t cols, T* data, const void* rowptr, int64_t rowptr_bytes, int32_t* colidx, void (*done)(void*),
                    void* owner) {
    Matrix m;
    bool has_zeros = false;
    try {
        m = rowptr_bytes == 8 ? wrap_csr(ctx, rows, cols, data, static_cast<const int64_t*>(rowptr), colidx, has_zeros)
                              : wrap_csr(ctx, rows, cols, data, static_cast<const int32_t*>(rowptr), colidx, has_zeros);
    } catch (...) {
        done(owner);
        throw;
    }
    if (!m) {
        done(owner);
        return m;
    }
    m->free_external = done;
    m->external = owner;
    if (has_zeros) return finish(ctx, std::move(m));
    return better_csr(rows, cols, m->nnz, m->elem) ? m : to_dense(ctx, m.get());
}

template <class T>
Matrix copied(sm_ctx* ctx, int64_t rows, int64_t cols, const T* data) {
    if (!data) return new_dense_zero(ctx, rows, cols, element_of<T>);
    Matrix m = new_dense(ctx, rows, cols, element_of<T>);
    parallel_chunks(ctx, m->capacity, 1 << 17, [&](int64_t b, int64_t e) { memcpy(values<T>(m.get()) + b, data + b, size_t(e - b) * sizeof(T)); });
    return m;
}

template <class T>
Matrix import_csr(sm_ctx* ctx, int64_t rows, int64_t cols, const T* data, const void* rowptr, int64_t rowptr_bytes, const void* colidx,
                  int64_t colidx_bytes) {
    require(rows >= 0 && cols >= 0, "sparse input: negative size");
    auto *p4 = static_cast<const int32_t*>(rowptr), *c4 = static_cast<const int32_t*>(colidx);
    auto *p8 = static_cast<const int64_t*>(rowptr), *c8 = static_cast<const int64_t*>(colidx);
    if (rowptr_bytes == 8) return colidx_bytes == 8 ? import_csr(ctx, rows, cols, data, p8, c8) : import_csr(ctx, rows, cols, data, p8, c4);
    return colidx_bytes == 8 ? import_csr(ctx, rows, cols, data, p4, c8) : import_csr(ctx, rows, cols, data, p4, c4);
}

}  // namespace
}  // namespace sm

using sm::Matrix;

// Wraps a row-major buffer without a copy. It is never written; `free_external(external)` is called when
// the last reference goes (also when this function fails).
SM_API sm_matrix* sm_matrix_from_external(sm_ctx* ctx, int64_t rows, int64_t cols, double* data, void (*free_external)(void*), void* external) {
    return SM_ENTRY(ctx, { return sm::wrap(ctx, rows, cols, data, free_external, external); });
}
SM_API sm_matrix* sm_matrix_from_external_f32(sm_ctx* ctx, int64_t rows, int64_t cols, float* data, void (*free_external)(void*), void* external) {
    return SM_ENTRY(ctx, { return sm::wrap(ctx, rows, cols, data, free_external, external); });
}

// A dense matrix of the host's size with cells copied from `data` (NULL: zeros).
SM_API sm_matrix* sm_matrix_new(sm_ctx* ctx, int64_t rows, int64_t cols, const double* data) {
    return SM_ENTRY(ctx, { return sm::copied(ctx, rows, cols, data).take(); });
}
SM_API sm_matrix* sm_matrix_new_f32(sm_ctx* ctx, int64_t rows, int64_t cols, const float* data) {
    return SM_ENTRY(ctx, { return sm::copied(ctx, rows, cols, data).take(); });
}

// Copies CSR arrays whose offsets and columns are 4 or 8 bytes wide. Columns must ascend within rows. The result
// is CSR whatever its density; sm_to_smaller picks the better format.
SM_API sm_matrix* sm_csr_new(sm_ctx* ctx, int64_t rows, int64_t cols, const double* data, const void* rowptr, int64_t rowptr_bytes,
                             const void* colidx, int64_t colidx_bytes) {
    return SM_ENTRY(ctx, { return sm::import_csr(ctx, rows, cols, data, rowptr, rowptr_bytes, colidx, colidx_bytes).take(); });
}
SM_API sm_matrix* sm_csr_new_f32(sm_ctx* ctx, int64_t rows, int64_t cols, const float* data, const void* rowptr, int64_t rowptr_bytes,
                                 const void* colidx, int64_t colidx_bytes) {
    return SM_ENTRY(ctx, { return sm::import_csr(ctx, rows, cols, data, rowptr, rowptr_bytes, colidx, colidx_bytes).take(); });
}

// A sparse matrix of the host in the better format: CSR over its arrays, without a copy of values and columns, or dense.
// NULL when columns do not ascend within rows. `done(owner)` is called when the arrays are no longer needed.
SM_API sm_matrix* sm_csr_from_external(sm_ctx* ctx, int64_t rows, int64_t cols, double* data, const void* rowptr, int64_t rowptr_bytes, int32_t* colidx,
                                       void (*done)(void*), void* owner) {
    return SM_ENTRY(ctx, { return sm::smaller_view(ctx, rows, cols, data, rowptr, rowptr_bytes, colidx, done, owner).take(); });
}
SM_API sm_matrix* sm_csr_from_external_f32(sm_ctx* ctx, int64_t rows, int64_t cols, float* data, const void* rowptr, int64_t rowptr_bytes,
                                           int32_t* colidx, void (*done)(void*), void* owner) {
    return SM_ENTRY(ctx, { return sm::smaller_view(ctx, rows, cols, data, rowptr, rowptr_bytes, colidx, done, owner).take(); });
}

// Views for hosts: valid while the object is held (sm_hold).
SM_API int32_t sm_object_kind(sm_object* o) { return o->kind; }
SM_API int64_t sm_matrix_rows(sm_matrix* m) { return m->rows; }
SM_API int64_t sm_matrix_cols(sm_matrix* m) { return m->cols; }
SM_API int32_t sm_matrix_format(sm_matrix* m) { return m->format; }
SM_API int32_t sm_matrix_elem(sm_matrix* m) { return m->elem; }
SM_API int32_t sm_matrix_is_borrowed(sm_matrix* m) { return (m->flags & SM_READONLY) != 0; }  // looks into memory of the host
SM_API void* sm_matrix_data(sm_matrix* m) { return m->data; }
SM_API int64_t* sm_matrix_rowptr(sm_matrix* m) { return m->rowptr; }
SM_API int32_t* sm_matrix_colidx(sm_matrix* m) { return m->colidx; }
SM_API const char* sm_string_text(sm_string* s) { return s->text; }
SM_API int64_t sm_string_length(sm_string* s) { return s->length; }
SM_API int32_t sm_box_tag(sm_box* b) { return b->tag; }
SM_API sm_object* sm_list_item(sm_list* list, int64_t index) {  // 1-based, borrowed; NULL: no such entry
    return index < 1 || index > list->length ? nullptr : list->items[index - 1];
}
