// CSR with one column: the loops of products over some rows.
#pragma once

#include <cstdint>

// Versions for levels of the instruction set, of which the loader picks one.
#if defined(__x86_64__)
#define SM_LEVEL(name) __attribute__((target(name)))
#else
#define SM_LEVEL(name)
#endif

namespace sm {

// out = A v for rows [r0, r1) of A. Sums are f64.
SM_LEVEL("default") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const double* val, const double* v, double* out, int64_t r0, int64_t r1);
SM_LEVEL("default") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const float* val, const float* v, float* out, int64_t r0, int64_t r1);
// out += t(A) u over rows [r0, r1) of A.
SM_LEVEL("default") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* u, double* out, int64_t r0, int64_t r1);
SM_LEVEL("default") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const float* val, const float* u, double* out, int64_t r0, int64_t r1);

#if defined(__x86_64__)
SM_LEVEL("arch=x86-64-v4") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const double* val, const double* v, double* out, int64_t r0, int64_t r1);
SM_LEVEL("arch=x86-64-v4") void csr_rows_times_vector(const int64_t* rp, const int32_t* ci, const float* val, const float* v, float* out, int64_t r0, int64_t r1);
SM_LEVEL("arch=x86-64-v4") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const double* val, const double* u, double* out, int64_t r0, int64_t r1);
SM_LEVEL("arch=x86-64-v4") void add_vector_times_csr_rows(const int64_t* rp, const int32_t* ci, const float* val, const float* u, double* out, int64_t r0, int64_t r1);
#endif

}  // namespace sm
