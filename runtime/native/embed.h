// Values of programs that embed a compiled script: made, bound with sm_set_input, and looked at afterwards.
// Results are owned (+1 reference, given up with sm_release); views are valid as long as the object is referenced.
#ifndef SYSMLC_EMBED_H
#define SYSMLC_EMBED_H

#include "sysmlc.h"

#ifdef __cplusplus
extern "C" {
#endif

// Matrices of double or of float (f32). A program takes either, and converts what it does not compute with.
SM_API sm_matrix* sm_matrix_new(sm_ctx* ctx, int64_t rows, int64_t cols, const double* data);  // copies; NULL: zeros
SM_API sm_matrix* sm_matrix_new_f32(sm_ctx* ctx, int64_t rows, int64_t cols, const float* data);
// Looks into the caller's row-major buffer, which is never written; `done(owner)` is called when it is not needed any more.
SM_API sm_matrix* sm_matrix_from_external(sm_ctx* ctx, int64_t rows, int64_t cols, double* data, void (*done)(void*), void* owner);
SM_API sm_matrix* sm_matrix_from_external_f32(sm_ctx* ctx, int64_t rows, int64_t cols, float* data, void (*done)(void*), void* owner);
// Copies CSR arrays; offsets and columns are 4 or 8 bytes wide.
SM_API sm_matrix* sm_csr_new(sm_ctx* ctx, int64_t rows, int64_t cols, const double* data, const void* rowptr, int64_t rowptr_bytes,
                             const void* colidx, int64_t colidx_bytes);
// Looks into the caller's CSR arrays in the same way; NULL when columns do not ascend within the rows.
SM_API sm_matrix* sm_csr_from_external(sm_ctx* ctx, int64_t rows, int64_t cols, double* data, const void* rowptr, int64_t rowptr_bytes, int32_t* colidx,
                                       void (*done)(void*), void* owner);
SM_API sm_matrix* sm_csr_from_external_f32(sm_ctx* ctx, int64_t rows, int64_t cols, float* data, const void* rowptr, int64_t rowptr_bytes,
                                           int32_t* colidx, void (*done)(void*), void* owner);
SM_API sm_matrix* sm_csr_new_f32(sm_ctx* ctx, int64_t rows, int64_t cols, const float* data, const void* rowptr, int64_t rowptr_bytes,
                                 const void* colidx, int64_t colidx_bytes);
SM_API sm_matrix* sm_to_f64(sm_ctx* ctx, sm_matrix* m);
SM_API sm_matrix* sm_to_f32(sm_ctx* ctx, sm_matrix* m);
SM_API sm_matrix* sm_to_dense(sm_ctx* ctx, sm_matrix* m);
SM_API sm_string* sm_string_new(sm_ctx* ctx, const char* text, int64_t length);
SM_API sm_box* sm_cast_f64_box(sm_ctx* ctx, double value);
SM_API sm_box* sm_cast_i64_box(sm_ctx* ctx, int64_t value);
SM_API sm_box* sm_cast_i1_box(sm_ctx* ctx, int32_t value);
SM_API sm_box* sm_cast_str_box(sm_ctx* ctx, sm_string* value);
SM_API double sm_cast_box_f64(sm_ctx* ctx, sm_box* box);
SM_API int64_t sm_cast_box_i64(sm_ctx* ctx, sm_box* box);
SM_API sm_string* sm_cast_box_str(sm_ctx* ctx, sm_box* box);
SM_API sm_list* sm_list_new(sm_ctx* ctx, int64_t n, const sm_arg* values, const char* const* names);

#ifdef __cplusplus
}
#endif
#endif
