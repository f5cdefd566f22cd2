// LAPACK, loaded from a shared library at first need. Always called single-threaded, so that results do not depend on the
// number of threads.
#pragma once

#include "core.h"

namespace sm::blas {

struct Table {
    // LAPACKE, row-major (layout 101)
    int (*dgetrf)(int layout, int m, int n, double* a, int lda, int* pivots);
    int (*dgetrs)(int layout, char trans, int n, int nrhs, const double* a, int lda, const int* pivots, double* b, int ldb);
    int (*dgetri)(int layout, int n, double* a, int lda, const int* pivots);
    int (*dgecon)(int layout, char norm, int n, const double* a, int lda, double anorm, double* rcond);
    int (*dpotrf)(int layout, char uplo, int n, double* a, int lda);
    int (*dpotrs)(int layout, char uplo, int n, int nrhs, const double* a, int lda, double* b, int ldb);
    int (*dpocon)(int layout, char uplo, int n, const double* a, int lda, double anorm, double* rcond);
    int (*dgeqrf)(int layout, int m, int n, double* a, int lda, double* tau);
    int (*dsyevd)(int layout, char jobz, char uplo, int n, double* a, int lda, double* w);
    int (*dgesdd)(int layout, char jobz, int m, int n, double* a, int lda, double* s, double* u, int ldu, double* vt, int ldvt);
    void (*set_num_threads)(int);
};

const Table& table();  // loads the library; throws sm::Error when there is none

// A size as LAPACK wants it; larger ones are errors.
int size(int64_t n);

}  // namespace sm::blas
