// Reading and writing files: the C ABI.
//
// `options` is the text of a call's named arguments, one `key=value` a line, with \ before a newline (as \n),
// a backslash and an equals sign that belong to a value. It is a string of the program, as an argument may be computed.
#ifndef SYSMLC_IO_H
#define SYSMLC_IO_H

#include "sysmlc.h"

#ifdef __cplusplus
extern "C" {
#endif

SM_API sm_matrix* sm_read_matrix(sm_ctx* ctx, sm_string* path, sm_string* options, const char* elem);
SM_API double sm_read_f64(sm_ctx* ctx, sm_string* path, sm_string* options);
SM_API int64_t sm_read_i64(sm_ctx* ctx, sm_string* path, sm_string* options);
SM_API int32_t sm_read_i1(sm_ctx* ctx, sm_string* path, sm_string* options);
SM_API sm_string* sm_read_str(sm_ctx* ctx, sm_string* path, sm_string* options);

SM_API void sm_write_matrix(sm_ctx* ctx, sm_matrix* value, sm_string* path, sm_string* options);
SM_API void sm_write_f64(sm_ctx* ctx, double value, sm_string* path, sm_string* options);
SM_API void sm_write_i64(sm_ctx* ctx, int64_t value, sm_string* path, sm_string* options);
SM_API void sm_write_i1(sm_ctx* ctx, int32_t value, sm_string* path, sm_string* options);
SM_API void sm_write_str(sm_ctx* ctx, sm_string* value, sm_string* path, sm_string* options);

enum { SM_DATA_MATRIX = 0, SM_DATA_SCALAR = 1, SM_DATA_FRAME = 2 };
enum { SM_VALUE_DOUBLE = 0, SM_VALUE_INT = 1, SM_VALUE_BOOLEAN = 2, SM_VALUE_STRING = 3 };
enum { SM_FILE_TEXT = 0, SM_FILE_CSV = 1, SM_FILE_MM = 2, SM_FILE_BINARY = 3 };
enum { SM_SIZES_STATED = 1 /* by the call or the .mtd */, SM_SIZES_FROM_FILE = 2 /* its header or first line */ };

typedef struct sm_metadata {
    int64_t rows, cols, nnz;  // -1: unknown
    int32_t data_type, value_type, format;
    int32_t sizes;            // where rows and cols come from: SM_SIZES_*, or 0
    int32_t exists, has_mtd;
} sm_metadata;

// What a read() would read, without a context: for compilers. 0, or 1 with a message in `error`.
SM_API int32_t sm_read_metadata(const char* path, const char* options, sm_metadata* out, char* error, int64_t error_size);

// Progress lines on a terminal (on by default).
SM_API void sm_set_progress(sm_ctx* ctx, int32_t on);

#ifdef __cplusplus
}
#endif
#endif
