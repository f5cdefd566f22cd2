// What runtime operators are written with: errors, entries, matrices, strings, threads.
//
//     SM_API sm_matrix* sm_foo(sm_ctx* ctx, sm_matrix* X, int64_t k) {
//         return SM_ENTRY(ctx, {
//             sm::require(k > 0, "foo: k must be positive, got %lld", (long long)k);
//             sm::Matrix R = sm::new_dense(ctx, X->rows, X->cols);   // owned handle, uninitialised cells
//             sm::parallel_rows(ctx, X->rows, X->cols, [&](int64_t r0, int64_t r1) { … });
//             return R.take();                                       // the caller owns the result
//         });
//     }
//
// Entries catch every exception, remember message and location in the context and unwind to sm_run. Objects
// are created and released on the thread that runs the program; tasks only read and write buffers.
#pragma once

#include "sysmlc.h"

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sm {

// A user-visible failure. The message says what is wrong; the location is added by the context.
struct Error : std::exception {
    explicit Error(std::string message) : message(std::move(message)) {}
    const char* what() const noexcept override { return message.c_str(); }
    std::string message;
};

std::string format(const char* fmt, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void fail(const char* fmt, ...) __attribute__((format(printf, 1, 2)));

template <class... A>
inline void require(bool condition, const char* fmt, A... args) {
    if (__builtin_expect(!condition, 0)) fail(fmt, args...);
}
inline void require(bool condition, const char* text) {
    if (__builtin_expect(!condition, 0)) fail("%s", text);
}

// ---- entries ------------------------------------------------------------------------------------------------
void record_failure(sm_ctx* ctx, std::exception_ptr failure) noexcept;
void unwind(sm_ctx* ctx);  // longjmp to sm_run, or return when no program is running
bool stats_on(const sm_ctx* ctx) noexcept;

struct OpTimer {  // counts time and calls of one operator when statistics are on
    OpTimer(sm_ctx* ctx, const char* op) : ctx(ctx), token(stats_on(ctx) ? sm_stats_enter(ctx, op) : 0) {}
    ~OpTimer() {
        if (token) sm_stats_leave(ctx, token);
    }
    sm_ctx* ctx;
    int64_t token;
};

template <class F>
inline auto entry(sm_ctx* ctx, const char* op, F&& body) -> decltype(body()) {
    try {
        OpTimer timer(ctx, op);
        return body();
    } catch (...) {
        record_failure(ctx, std::current_exception());
    }
    unwind(ctx);
    return decltype(body())();
}
#define SM_ENTRY(ctx, ...) ::sm::entry(ctx, __func__ + 3, [&]() __VA_ARGS__)

// ---- objects ------------------------------------------------------------------------------------------------
void destroy(sm_object* object) noexcept;
inline void retain(sm_object* o) noexcept {
    if (o) __atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
}
inline void release(sm_object* o) noexcept {
    if (o && __atomic_fetch_sub(&o->refs, 1, __ATOMIC_ACQ_REL) == 1) destroy(o);
}

// An owned reference: releases on scope exit, `take()` hands it to the caller.
template <class T>
class Ref {
public:
    Ref() = default;
    explicit Ref(T* owned) : p(owned) {}
    Ref(const Ref& other) : p(other.p) { retain(object()); }
    Ref(Ref&& other) noexcept : p(other.p) { other.p = nullptr; }
    Ref& operator=(Ref other) noexcept {
        std::swap(p, other.p);
        return *this;
    }
    ~Ref() { release(object()); }
    static Ref borrow(T* borrowed) {
        Ref r(borrowed);
        retain(r.object());
        return r;
    }
    T* operator->() const { return p; }
    T* get() const { return p; }
    T* take() {
        T* result = p;
        p = nullptr;
        return result;
    }
    explicit operator bool() const { return p != nullptr; }

private:
    sm_object* object() const { return reinterpret_cast<sm_object*>(p); }
    T* p = nullptr;
};
using Matrix = Ref<sm_matrix>;
using String = Ref<sm_string>;
using List = Ref<sm_list>;
using Box = Ref<sm_box>;

// ---- matrices -----------------------------------------------------------------------------------------------
// rows * cols with checks: negative or too large sizes are errors.
int64_t checked_cells(int64_t rows, int64_t cols);

Matrix new_dense(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem = SM_F64);       // cells are not initialised
Matrix new_dense_zero(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem = SM_F64);  // zeros, nnz = 0
Matrix new_dense_fill(sm_ctx* ctx, int64_t rows, int64_t cols, double value, uint8_t elem = SM_F64);
// rowptr[0] = 0, rowptr[rows] = nnz are set; fill the rest
Matrix new_csr(sm_ctx* ctx, int64_t rows, int64_t cols, int64_t nnz, uint8_t elem = SM_F64);
Matrix new_csr_empty(sm_ctx* ctx, int64_t rows, int64_t cols, uint8_t elem = SM_F64);  // no entries, rowptr all 0
Matrix look_into(sm_ctx* ctx, sm_matrix* m, int64_t first, int64_t rows, int64_t cols);  // its cells from the first on, not copied; m is dense
Matrix copy(sm_ctx* ctx, const sm_matrix* m);                                          // deep copy, same format

inline bool is_dense(const sm_matrix* m) { return m->format == SM_DENSE; }
inline bool is_csr(const sm_matrix* m) { return m->format == SM_CSR; }
inline int64_t cells(const sm_matrix* m) { return m->rows * m->cols; }
inline bool is_single(const sm_matrix* m) { return m->elem == SM_F32; }
inline int64_t cell_size(uint8_t elem) { return elem == SM_F32 ? 4 : 8; }

// Cells as T, which must be what they are. Operators that the compiler gives f64 only (their definition lacks the trait f32)
// leave T out; the others dispatch with `with_element`.
template <class T = double>
T* values(const sm_matrix* m) {
#ifdef SM_CHECK_ELEMENTS
    if (cell_size(m->elem) != int64_t(sizeof(T))) __builtin_trap();
#endif
    return static_cast<T*>(m->data);
}
template <class T = double>
T* row(const sm_matrix* m, int64_t i) {  // dense only
    return values<T>(m) + i * m->cols;
}
// f(T()) with the type T of the cells.
template <class F>
decltype(auto) with_element(uint8_t elem, F&& f) {
    return elem == SM_F32 ? f(float()) : f(double());
}
template <class F>
decltype(auto) with_element(const sm_matrix* m, F&& f) {
    return with_element(m->elem, std::forward<F>(f));
}
template <class T>
constexpr uint8_t element_of = sizeof(T) == 4 ? SM_F32 : SM_F64;
uint8_t element_named(const char* name);  // of "f64" or "f32", as attributes of operations have it

inline double cell(const sm_matrix* m, int64_t i, int64_t j);  // any format and element, 0-based, unchecked
// May the buffer be overwritten by an operator that consumes m?
inline bool reusable(const sm_matrix* m) {
    return __atomic_load_n(&m->o.refs, __ATOMIC_ACQUIRE) == 1 && m->o.holds == 0 && !(m->flags & SM_READONLY);
}

// Conversions return an owned handle: the same matrix retained when it already has the format. They are
// counted in the statistics.
Matrix to_dense(sm_ctx* ctx, sm_matrix* m);
Matrix to_csr(sm_ctx* ctx, sm_matrix* m);
Matrix to_element(sm_ctx* ctx, sm_matrix* m, uint8_t elem);
Matrix rounded(sm_ctx* ctx, sm_matrix* m, uint8_t elem);  // the same as part of an operator, which does not count
int64_t count_nnz(sm_ctx* ctx, sm_matrix* m);  // exact; remembered in m->nnz
bool better_csr(int64_t rows, int64_t cols, int64_t nnz, uint8_t elem = SM_F64);
// Counts nonzeros and picks the better format: for results that may be sparse by nature.
Matrix finish(sm_ctx* ctx, Matrix m);
// Drops explicit zeros from a CSR matrix in place.
void drop_zeros(sm_ctx* ctx, sm_matrix* m);
std::string shape(const sm_matrix* m);  // "3x4"

// ---- strings ------------------------------------------------------------------------------------------------
String new_string(sm_ctx* ctx, std::string_view text);
inline std::string_view view(const sm_string* s) { return {s->text, static_cast<size_t>(s->length)}; }
std::string to_text(double v);    // the form print shows: 1.0, 1.0E7, NaN
std::string to_text(int64_t v);
std::string to_text(bool v);      // TRUE, FALSE
void append_double(std::string& out, double v);
// Writes the print form of v at `out` (needs 32 bytes); returns its length.
int write_double(char* out, double v) noexcept;
// Java's Double.parseDouble syntax (surrounding blanks, NaN, Infinity); false when it is no number.
bool parse_double(std::string_view text, double& value) noexcept;
bool parse_int(std::string_view text, int64_t& value) noexcept;
// as.double, as.integer and as.logical of text; what is no number is an error, what is no boolean is false.
double to_f64(std::string_view text);
int64_t to_i64(std::string_view text);
bool to_i1(std::string_view text);
// as.integer: NaN is 0, what is too big saturates.
inline int64_t truncated(double v) {
    if (v != v) return 0;
    if (v >= 9223372036854775808.0) return INT64_MAX;
    return v < -9223372036854775808.0 ? INT64_MIN : static_cast<int64_t>(v);
}
void print_text(sm_ctx* ctx, std::string_view text);  // to the output sink, no newline added
std::string matrix_text(sm_ctx* ctx, sm_matrix* m, int64_t rows, int64_t cols, int64_t decimal, bool sparse,
                        std::string_view sep, std::string_view linesep);

// ---- threads ------------------------------------------------------------------------------------------------
int threads() noexcept;
void run_tasks(sm_ctx* ctx, int64_t n, void (*fn)(void*, int64_t), void* arg);

// Runs f(task) for 0 <= task < n, in parallel when n > 1. The first failing task's exception is rethrown.
template <class F>
void parallel_for(sm_ctx* ctx, int64_t n, F&& f) {
    if (n == 1) return f(int64_t(0));
    using Fn = std::remove_reference_t<F>;
    run_tasks(ctx, n, [](void* arg, int64_t task) { (*static_cast<Fn*>(arg))(task); }, const_cast<void*>(static_cast<const void*>(&f)));
}

// Runs f(begin, end) over [0, n) in chunks of `grain` (fixed, so results cannot depend on the thread count).
template <class F>
void parallel_chunks(sm_ctx* ctx, int64_t n, int64_t grain, F&& f) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    parallel_for(ctx, (n + grain - 1) / grain, [&](int64_t task) {
        int64_t begin = task * grain;
        f(begin, begin + grain < n ? begin + grain : n);
    });
}

constexpr int64_t kGrain = 16384;  // cells a task should at least touch

// Row ranges f(r0, r1) with about kGrain cells (of work_per_row units) each.
template <class F>
void parallel_rows(sm_ctx* ctx, int64_t rows, int64_t work_per_row, F&& f) {
    parallel_chunks(ctx, rows, work_per_row > 0 ? kGrain / work_per_row + 1 : kGrain, f);
}

// ---- files --------------------------------------------------------------------------------------------------
// Half-written files: removed when the program fails or is interrupted, unless forgotten before.
void register_temporary(sm_ctx* ctx, const std::string& path);
void forget_temporary(sm_ctx* ctx, const std::string& path);

// ---- inline definitions -------------------------------------------------------------------------------------
double csr_cell(const sm_matrix* m, int64_t i, int64_t j) noexcept;
inline double cell(const sm_matrix* m, int64_t i, int64_t j) {
    if (!is_dense(m)) return csr_cell(m, i, j);
    return is_single(m) ? double(values<float>(m)[i * m->cols + j]) : values(m)[i * m->cols + j];
}

}  // namespace sm
