// The C ABI between generated programs, host languages and the native runtime.
//
// Every function takes the context first. Arguments are borrowed, results are owned (+1 reference) unless
// a comment says otherwise. Errors do not return inside a running program: they unwind to sm_run. Called
// outside sm_run, a failing function returns 0/NULL and sm_error_message(ctx) tells why.
#ifndef SYSMLC_H
#define SYSMLC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SM_API extern "C" __attribute__((visibility("default")))
extern "C" {
#else
#define SM_API __attribute__((visibility("default")))
#endif

#define SM_MAX_IN 16
#define SM_MAX_OUT 8

enum { SM_KIND_MATRIX = 1, SM_KIND_STRING = 2, SM_KIND_LIST = 3, SM_KIND_BOX = 4 };
enum { SM_F64 = 0, SM_F32 = 1 };
enum { SM_DENSE = 0, SM_CSR = 1 };
// Tags of sm_arg and sm_box (a box uses F64, I64, I1 and STRING only).
enum { SM_TAG_F64 = 0, SM_TAG_MATRIX = 1, SM_TAG_I64 = 2, SM_TAG_I1 = 3, SM_TAG_STRING = 4, SM_TAG_LIST = 5, SM_TAG_BOX = 6 };
// sm_matrix.flags
enum { SM_READONLY = 1 /* the buffer belongs to somebody else: never written in place */, SM_VIEW = 2 /* to the matrix `external` */ };

typedef struct sm_ctx sm_ctx;
typedef struct sm_cell_kernel sm_cell_kernel;

// First member of every object. `refs` is changed with atomic operations only.
typedef struct sm_object {
    int32_t refs;
    uint8_t kind;
    uint8_t mark;
    uint16_t holds;  // references of the host language: they survive the end of a run
    struct sm_object *prev, *next;
    sm_ctx* ctx;
} sm_object;

typedef struct sm_matrix {
    sm_object o;
    int64_t rows, cols;
    int64_t nnz;  // -1: not counted yet; always exact for CSR
    uint8_t elem, format, flags;
    void* data;       // dense cells (row-major) or CSR values
    int64_t* rowptr;  // CSR: rows + 1 offsets, rowptr[0] == 0
    int32_t* colidx;  // CSR: ascending within a row
    int64_t capacity; // cells that fit into data (and colidx)
    void (*free_external)(void*);
    void* external;
    struct sm_edits* edits;  // CSR: changes that are not in the arrays yet, NULL: none (see edit.cpp)
} sm_matrix;

typedef struct sm_string {
    sm_object o;
    int64_t length;  // bytes of UTF-8, without the terminating 0
    char text[1];
} sm_string;

typedef struct sm_box {
    sm_object o;
    int32_t tag;
    union {
        double f64;
        int64_t i64;  // also i1
        sm_string* str;
    } v;
} sm_box;

typedef struct sm_list {
    sm_object o;
    int64_t length, capacity;
    sm_object** items;  // matrices, boxes, lists
    sm_string** names;  // NULL when unnamed; single entries may be NULL
} sm_list;

// One argument of unknown or mixed type: cell kernels (f64 or matrix), printf, list construction, hosts.
typedef struct sm_arg {
    int64_t tag;
    union {
        double f64;
        int64_t i64;  // also i1
        sm_matrix* matrix;
        sm_string* str;
        sm_list* list;
        sm_box* box;
        sm_object* object;
    } v;
} sm_arg;
typedef sm_arg sm_value;

// What a kernel sees of one chunk. Columns c are absolute in every form.
//   inputs     in[i] + r * in_rs[i], then [c] (vector class) or [0] (splat class). A CSR driver i: in[i] are its
//              values, rowptr/colidx its structure.
//   map        dense: out[k][r * out_rs[k] + c]; CSR-driven: out[k][p] for p in the driver's rowptr range.
//   full       out[k][0] is the partial, out[k][1] its compensation (sum = value + compensation; sums only).
//   row        out[k][r], final.
//   col        out[k][c], and out[k][out_rs[k] + c] the compensations (sums only); accumulate into them.
// Cells (inputs, map and row outputs) are what the kernel says, f64 or f32; partials of full and col outputs are f64 always,
// and of sums of f32 the compensations stay 0.
// Partials and row results hold the identity of their function before the kernel runs; CSR-driven kernels see
// only stored entries, the runtime adds the zeros.
typedef struct sm_cell_args {
    const double* in[SM_MAX_IN];
    int64_t in_rs[SM_MAX_IN];
    double* out[SM_MAX_OUT];
    int64_t out_rs[SM_MAX_OUT];
    const int64_t* rowptr;
    const int32_t* colidx;
    int64_t flags;  // SM_CELL_STREAM
} sm_cell_args;

// The map outputs are larger than the last-level cache: dense kernels store past the caches where they are aligned.
enum { SM_CELL_STREAM = 1 };

typedef void (*sm_cell_fn)(const sm_cell_args*, int64_t r0, int64_t r1, int64_t c0, int64_t c1);

#define SM_JOINT_PROBE 0x80000000u
#define SM_SEPARATE 0x40000000u  // in masks of needs: results are 0 where each of these lets them be, the others being 1
enum { SM_CELL_OUTER = 1, SM_CELL_SINGLE = 2 };  // bits of sm_cell_kernel.traits

enum { SM_OUT_MAP = 0, SM_OUT_FULL = 1, SM_OUT_ROW = 2, SM_OUT_COL = 3 };
enum { SM_AGG_SUM = 0, SM_AGG_PROD = 1, SM_AGG_MIN = 2, SM_AGG_MAX = 3 };
// Variant key: bits 0..15 vector-class inputs, bits 16..19 the form.
enum { SM_FORM_DENSE = 0, SM_FORM_CSR0 = 1, SM_FORM_CSR1 = 2 /* CSRi = i + 1 */ };

struct sm_cell_kernel {
    int32_t n_in, n_out;
    uint8_t out_kind[SM_MAX_OUT];
    uint8_t out_fn[SM_MAX_OUT];
    uint32_t sparse_safe;
    uint32_t traits;  // SM_CELL_OUTER: a column and a row vector may combine; SM_CELL_SINGLE: cells are f32
    int32_t n_variants;
    // Bit i: what the outputs are where input i is 0 depends on scalars and on the inputs of probe_needs[i] only. When these are
    // vectors, runs of the dense variant tell; when every map output is 0 there, input i may drive.
    uint32_t sparse_probe;
    const uint32_t* variant_keys;
    sm_cell_fn* variants;  // entries may be NULL: ctx->resolve fills them
    const char* name;
    const void* cookie;  // cells: NULL, or for each input those that may have the full shape only where it has; rows: the plan
    const uint32_t* probe_needs;  // NULL: nothing but scalars
    // Pairs of masks: several inputs whose entries may drive together, and what decides what the outputs are where all of them
    // are 0: nothing (they are 0), or with SM_JOINT_PROBE scalars and the inputs of the second mask.
    const uint32_t* joint;
    int64_t n_joint;  // pairs
};

typedef struct sm_location {
    const char* file;
    int32_t line, col;  // 1-based; 0: unknown
    const char* text;   // the source line, without newline; NULL: unknown
} sm_location;

typedef struct sm_param {
    const char* name;
    int32_t has_default;  // 2: the program was compiled for the value in default_text
    const char* default_text;
    const char* help;
} sm_param;

typedef struct sm_program {
    void (*entry)(sm_ctx*);
    const sm_location* locations;
    int64_t n_locations;
    const sm_param* params;
    int64_t n_params;
    const char* name;
    const char* version;
} sm_program;

// The part of the context that generated code may touch; the rest is private to the runtime.
struct sm_ctx {
    int32_t loc;                 // offset 0: index into the location table, stored before fallible calls
    volatile int32_t interrupt;  // offset 4: nonzero asks the program to stop (see sm_interrupted)
    sm_cell_fn (*resolve)(sm_ctx*, const sm_cell_kernel*, uint32_t key);  // offset 8: compiles a missing variant, or NULL
    void* host;                  // offset 16: free for the embedding host
};

// What a row kernel sees of one chunk; it begins like sm_cell_args and is called as sm_cell_fn with c1 = columns of the
// scanned matrix (input 0), 0 <= r0.
//   inputs     rows: in[i] + r * in_rs[i] (stride 0: the same row for all). Sides: one column of the product after the
//              other. Scalars: in[i][0]. A CSR driver: in[0] are its values, rowptr/colidx its structure.
//   scratch    SM_ROW_BLOCK cells for each column of each slot that the kernel's plan (`cookie`) lists.
//   lengths    columns of the values of each class, indexed by the input (or what is put together from
//              columns, which counts as further inputs) that names the class.
//   map        out[k][r * out_rs[k] + c].
//   full, col  of values as wide as the scanned row: [c] and, behind all sums, the compensations; others: for each column
//              SM_ROW_BLOCK values, then SM_ROW_BLOCK compensations (min, max: NaN if one was seen).
//   product    one row of the result's wide side for each column of the other factor; accumulate into it. When no factor is
//              as wide as the scanned row: SM_ROW_BLOCK cells, to be added up, for each cell of the result.
typedef struct sm_row_args {
    const double* in[SM_MAX_IN];
    int64_t in_rs[SM_MAX_IN];
    double* out[SM_MAX_OUT];
    int64_t out_rs[SM_MAX_OUT];
    const int64_t* rowptr;
    const int32_t* colidx;
    double* scratch;
    const int64_t* lengths;
} sm_row_args;

enum { SM_ROW_BLOCK = 8 };
enum { SM_OUT_PRODUCT = 4 /* of row kernels */ };

// ---- context ----------------------------------------------------------------------------------------------
SM_API sm_ctx* sm_ctx_new(void);
SM_API void sm_ctx_free(sm_ctx* ctx);
SM_API int32_t sm_run(sm_ctx* ctx, void (*entry)(sm_ctx*));  // 0, or 1 after an error
SM_API const char* sm_error_message(sm_ctx* ctx);            // NULL: none since the last sm_run/sm_error_clear
SM_API int32_t sm_error_loc(sm_ctx* ctx);
SM_API void sm_error_clear(sm_ctx* ctx);
// "file:line:col: error: message", the source line and a caret; borrowed text valid until the next call.
SM_API const char* sm_error_render(sm_ctx* ctx);
SM_API void sm_set_locations(sm_ctx* ctx, const sm_location* table, int64_t n);
SM_API void sm_set_resolve(sm_ctx* ctx, sm_cell_fn (*resolve)(sm_ctx*, const sm_cell_kernel*, uint32_t));
SM_API void sm_interrupt(sm_ctx* ctx);    // async-signal-safe; the program stops at its next check
SM_API void sm_abandon(void);             // async-signal-safe: what is half-written goes; the process has to end after it
SM_API void sm_interrupted(sm_ctx* ctx);  // called by generated code when it sees ctx->interrupt: unwinds
SM_API void sm_fail(sm_ctx* ctx, const char* message);  // raises an error (does not return inside sm_run)
SM_API int32_t sm_main(int argc, char** argv, const sm_program* program);

SM_API void sm_set_seed(sm_ctx* ctx, int64_t seed);  // of the generators whose script gives none

// Output goes to the sink (NULL: standard output, buffered). The sink returns 0, or an errno value.
SM_API void sm_set_output_sink(sm_ctx* ctx, int32_t (*sink)(void* user, const char* text, int64_t n), void* user);
SM_API void sm_flush(sm_ctx* ctx);

// ---- arguments, inputs and outputs ------------------------------------------------------------------------
SM_API void sm_set_arg(sm_ctx* ctx, const char* name, const char* text);
SM_API int32_t sm_has_arg(sm_ctx* ctx, const char* name);
SM_API sm_string* sm_arg_text(sm_ctx* ctx, const char* name);
SM_API void sm_set_input(sm_ctx* ctx, const char* name, sm_object* value);  // keeps its own reference
SM_API sm_object* sm_get_input(sm_ctx* ctx, const char* name);              // borrowed; NULL: not set
SM_API void sm_set_output(sm_ctx* ctx, const char* name, sm_object* value);
SM_API sm_object* sm_get_output(sm_ctx* ctx, const char* name);             // borrowed; NULL: not set
SM_API void sm_clear_bindings(sm_ctx* ctx);

// ---- objects ----------------------------------------------------------------------------------------------
SM_API void sm_retain(sm_ctx* ctx, sm_object* object);   // NULL is allowed
SM_API void sm_release(sm_ctx* ctx, sm_object* object);  // NULL is allowed
SM_API void sm_hold(sm_ctx* ctx, sm_object* object);     // a host reference, kept beyond the end of the run
SM_API void sm_unhold(sm_ctx* ctx, sm_object* object);
SM_API int64_t sm_live_objects(sm_ctx* ctx);
SM_API int64_t sm_leaked_objects(sm_ctx* ctx);  // that the last program, ended well, had not released

// ---- threads ----------------------------------------------------------------------------------------------
SM_API void sm_parallel(sm_ctx* ctx, int64_t n_tasks, void (*fn)(void* arg, int64_t task), void* arg);
SM_API int32_t sm_threads(void);
SM_API void sm_set_threads(int32_t n);  // 0: as many as the process may use

// ---- memory and statistics --------------------------------------------------------------------------------
SM_API int64_t sm_alloc_count(void);
SM_API int64_t sm_bytes_live(void);
SM_API int64_t sm_bytes_peak(void);
SM_API void sm_reset_peak(void);
SM_API void sm_stats_enable(sm_ctx* ctx, int32_t on);
SM_API int64_t sm_stats_enter(sm_ctx* ctx, const char* op);  // returns a token (0 when statistics are off)
SM_API void sm_stats_leave(sm_ctx* ctx, int64_t token);
SM_API int64_t sm_stats_conversions(sm_ctx* ctx, int32_t to_format);
SM_API const char* sm_stats_report(sm_ctx* ctx, int64_t top);  // borrowed text valid until the next call

// ---- cell kernels -----------------------------------------------------------------------------------------
// consume_mask: inputs whose reference the launcher takes over. results[k]: sm_matrix** for map, row and col outputs, double* for full aggregates.
SM_API void sm_launch_cell(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consume_mask, void** results);

// Row kernels are described by sm_cell_kernel too; `cookie` is their plan (see passes/lower_rows.py), results are as for cells.
SM_API void sm_launch_row(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consume_mask, void** results);

#ifdef __cplusplus
}
#endif
#endif
