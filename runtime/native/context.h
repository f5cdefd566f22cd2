// The private part of a context. Operators use core.h; only the runtime's own files include this.
#pragma once

#include "core.h"
#include "random.h"

#include <setjmp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sm {

struct OpStats {
    const char* name;
    int64_t count = 0;
    int64_t nanos = 0;
};

struct Stats {
    bool on = false;
    std::vector<OpStats> ops;
    struct Running {
        size_t op;
        int64_t start, inner;  // nanoseconds; `inner` was spent in operators that this one called
    };
    std::vector<Running> open;
    int64_t to_dense = 0, to_csr = 0, to_double = 0, to_single = 0;
    int64_t planned = 0;  // of those to a format, the ones the compiler asked for
    int64_t edits = 0, settled = 0;  // changes of rows of CSR matrices that were kept aside, and how often they were put in
    std::string report;
};

using Binding = std::pair<std::string, sm_object*>;

struct Context : sm_ctx {
    jmp_buf* run = nullptr;  // where errors unwind to; NULL: no program is running
    bool failed = false;
    std::string error;
    int32_t error_loc = -1;
    std::string rendered;
    const sm_location* locations = nullptr;
    int64_t n_locations = 0;
    sm_object objects{};  // sentinel of the ring of live objects
    int64_t live = 0;
    int64_t leaked = 0;  // objects that the last program that ended well had not released
    int32_t (*sink)(void*, const char*, int64_t) = nullptr;
    void* sink_user = nullptr;
    std::string output;  // what is not yet written to standard output
    bool flush_lines = false;
    std::vector<Binding> inputs, outputs;
    std::vector<std::pair<std::string, std::string>> args;
    std::vector<std::string> temporaries;
    std::unique_ptr<JavaRandom> seeds;  // where operators without a seed of their own draw one
    Stats stats;
    struct Variant {
        const sm_cell_kernel* kernel;
        uint32_t key;
        sm_cell_fn fn;
    };
    std::vector<Variant> variants;  // compiled for this run, beyond those that kernels list
};

inline Context* context(sm_ctx* ctx) { return static_cast<Context*>(ctx); }

// Objects: `size` bytes, zeroed, with one reference, linked into the context.
sm_object* new_object(sm_ctx* ctx, uint8_t kind, size_t size);
template <class T>
Ref<T> new_object(sm_ctx* ctx, uint8_t kind, size_t size = sizeof(T)) {
    return Ref<T>(reinterpret_cast<T*>(new_object(ctx, kind, size)));
}
// The same text as an object of the context: constants of a program live no longer than its code.
String lasting(sm_ctx* ctx, sm_string* s);
void free_matrix_buffers(sm_matrix* m) noexcept;  // memory that m owns, or the external owner's callback

// Frees what a finished program left behind: everything that no binding and no host reference reaches.
void sweep(Context* ctx) noexcept;

void flush_output(Context* ctx);  // throws when the output cannot be written
void count_conversion(sm_ctx* ctx, int to_format) noexcept;
void count_element_conversion(sm_ctx* ctx, int to_elem) noexcept;

// Buffers: 64-byte aligned; big ones use huge pages and are kept for reuse.
void* alloc_buffer(int64_t bytes, bool zeroed);
void free_buffer(void* buffer, int64_t bytes) noexcept;
int64_t physical_memory();
// Whether a dense matrix would take so much of it that other ways are tried first.
inline bool fills_memory(int64_t rows, int64_t cols, uint8_t elem = SM_F64) { return double(rows) * double(cols) * double(cell_size(elem)) > double(physical_memory()) / 2; }
std::string byte_text(double bytes);          // "1.5 GB"

void check_interrupt(sm_ctx* ctx);

// Removes registered temporary files; safe in a signal handler.
void remove_all_temporaries() noexcept;

}  // namespace sm
