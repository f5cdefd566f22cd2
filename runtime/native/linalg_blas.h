// BLAS and LAPACK, loaded from a shared library at first need. Always called single-threaded: the operators split
// their work into fixed blocks themselves, so that results do not depend on the number of threads.
#pragma once

#include "core.h"

namespace sm::blas {

enum Transpose { kNo = 111, kYes = 112 };  // CBLAS values

struct Table {
    void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double* a, int lda, const double* b, int ldb, double beta,
                  double* c, int ldc);
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb, float beta, float* c,
                  int ldc);
    void (*dsyrk)(int order, int uplo, int trans, int n, int k, double alpha, const double* a, int lda, double beta, double* c, int ldc);
    void (*ssyrk)(int order, int uplo, int trans, int n, int k, float alpha, const float* a, int lda, float beta, float* c, int ldc);
    // LAPACKE, row-major (layout 101)
    int (*dgetrf)(int layout, int m, int n, double* a, int lda, int* pivots);
    int (*dgetrs)(int layout, char trans, int n, int nrhs, const double* a, int lda, const int* pivots, double* b, int ldb);
    int (*dgetri)(int layout, int n, double* a, int lda, const int* pivots);
    int (*dgecon)(int layout, char norm, int n, const double* a, int lda, double anorm, double* rcond);
    int (*dpotrf)(int layout, char uplo, int n, double* a, int lda);
    int (*dgeqrf)(int layout, int m, int n, double* a, int lda, double* tau);
    int (*dsyevd)(int layout, char jobz, char uplo, int n, double* a, int lda, double* w);
    int (*dgesdd)(int layout, char jobz, int m, int n, double* a, int lda, double* s, double* u, int ldu, double* vt, int ldvt);
    void (*set_num_threads)(int);
};

const Table& table();  // loads the library; throws sm::Error when there is none

// Products by the type of their cells.
template <class... A>
void gemm(const Table& lib, int order, int ta, int tb, int m, int n, int k, double alpha, A... rest) { lib.dgemm(order, ta, tb, m, n, k, alpha, rest...); }
template <class... A>
void gemm(const Table& lib, int order, int ta, int tb, int m, int n, int k, float alpha, A... rest) { lib.sgemm(order, ta, tb, m, n, k, alpha, rest...); }
template <class... A>
void syrk(const Table& lib, int order, int uplo, int trans, int n, int k, double alpha, A... rest) { lib.dsyrk(order, uplo, trans, n, k, alpha, rest...); }
template <class... A>
void syrk(const Table& lib, int order, int uplo, int trans, int n, int k, float alpha, A... rest) { lib.ssyrk(order, uplo, trans, n, k, alpha, rest...); }

// A size as BLAS wants it; larger ones are errors.
int size(int64_t n);

}  // namespace sm::blas
