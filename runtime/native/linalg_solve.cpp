// Dense factorisations through LAPACK.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "fit.h"
#include "linalg_blas.h"

namespace sm {
namespace {

constexpr int kRowMajor = 101;
constexpr double kSingular = 2.3e-16;  // reciprocal condition below which a system counts as singular

Matrix dense_copy(sm_ctx* ctx, sm_matrix* m) {
    Matrix d = to_dense(ctx, m);
    return d.get() == m ? copy(ctx, m) : std::move(d);
}

int square(const char* op, const sm_matrix* a) {
    if (a->rows != a->cols) not_square(op, shape_of(a));
    return blas::size(a->rows);
}

void finite(const char* op, const sm_matrix* a) {
    const double* v = values(a);
    for (int64_t i = 0; i < cells(a); i++)
        if (!std::isfinite(v[i])) fail("%s: the matrix has cells that are NaN or infinite", op);
}

void solved(const char* op, int info) {
    constexpr int kNoWorkspace = -1010, kNoTransposed = -1011;
    require(info != kNoWorkspace && info != kNoTransposed, "out of memory: %s needs more in the linear algebra library", op);
    require(info == 0, "%s failed in the linear algebra library (code %d)", op, info);
}

double norm1(const sm_matrix* a) {
    std::vector<double> sums(static_cast<size_t>(a->cols), 0.0);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->cols; j++) sums[static_cast<size_t>(j)] += std::fabs(row(a, i)[j]);
    return sums.empty() ? 0.0 : *std::max_element(sums.begin(), sums.end());
}

// LU in place; fails with a clear message when the matrix is singular to working precision.
std::vector<int> factor(const char* op, sm_matrix* a) {
    int n = square(op, a);
    finite(op, a);
    const blas::Table& lib = blas::table();
    std::vector<int> pivots(static_cast<size_t>(n));
    double norm = norm1(a), rcond = 0;
    int info = lib.dgetrf(kRowMajor, n, n, values(a), n, pivots.data());
    require(info >= 0, "%s failed in the linear algebra library (code %d)", op, info);
    if (info == 0) lib.dgecon(kRowMajor, '1', n, values(a), n, norm, &rcond);
    if (info > 0 || rcond < kSingular) fail("%s: the matrix is singular (%s, reciprocal condition %.2g)", op, shape(a).c_str(), rcond);
    return pivots;
}

// Solves in x by Cholesky's factors of A; false when it is not positive definite, to working precision.
bool solve_definite(sm_ctx* ctx, sm_matrix* A, sm_matrix* x) {
    int n = blas::size(A->rows), k = blas::size(x->cols);
    for (int64_t i = 0; i < n; i++)
        if (!(row(A, i)[i] > 0)) return false;
    Matrix a = copy(ctx, A);
    finite("solve", a.get());
    const blas::Table& lib = blas::table();
    double norm = norm1(a.get()), rcond = 0;
    if (lib.dpotrf(kRowMajor, 'L', n, values(a.get()), n) != 0) return false;
    if (lib.dpocon(kRowMajor, 'L', n, values(a.get()), n, norm, &rcond) != 0 || rcond < kSingular) return false;
    solved("solve", lib.dpotrs(kRowMajor, 'L', n, k, values(a.get()), n, values(x), k));
    return true;
}

bool symmetric(const sm_matrix* a, double tolerance) {
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < i; j++) {
            double x = row(a, i)[j], y = row(a, j)[i];
            if (std::fabs(x - y) > tolerance * std::max(std::fabs(x), std::fabs(y))) return false;
        }
    return true;
}

}  // namespace
}  // namespace sm

using namespace sm;

SM_API sm_matrix* sm_solve(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, int32_t symmetric) {
    return SM_ENTRY(ctx, {
        if (A->rows != B->rows) fail("solve: the right side has %lld rows, the matrix %lld", (long long)B->rows, (long long)A->rows);
        int n = square("solve", A);
        Matrix x = dense_copy(ctx, B);
        if (n == 0 || B->cols == 0) return x.take();
        Matrix full = to_dense(ctx, A);
        x->nnz = -1;
        if (symmetric && solve_definite(ctx, full.get(), x.get())) return x.take();
        Matrix a = full.get() == A ? copy(ctx, A) : std::move(full);
        std::vector<int> pivots = factor("solve", a.get());
        int k = blas::size(B->cols);
        solved("solve", blas::table().dgetrs(kRowMajor, 'N', n, k, values(a.get()), n, pivots.data(), values(x.get()), k));
        return x.take();
    });
}

SM_API sm_matrix* sm_inv(sm_ctx* ctx, sm_matrix* A) {
    return SM_ENTRY(ctx, {
        int n = square("inv", A);
        Matrix a = dense_copy(ctx, A);
        if (n == 0) return a.take();
        std::vector<int> pivots = factor("inv", a.get());
        solved("inv", blas::table().dgetri(kRowMajor, n, values(a.get()), n, pivots.data()));
        a->nnz = -1;
        return a.take();
    });
}

SM_API double sm_det(sm_ctx* ctx, sm_matrix* A) {
    return SM_ENTRY(ctx, {
        int n = square("det", A);
        if (n == 0) return 1.0;
        Matrix a = dense_copy(ctx, A);
        std::vector<int> pivots(static_cast<size_t>(n));
        for (int64_t i = 0; i < cells(a.get()); i++)
            if (!std::isfinite(values(a.get())[i])) return std::numeric_limits<double>::quiet_NaN();
        int info = blas::table().dgetrf(kRowMajor, n, n, values(a.get()), n, pivots.data());
        require(info >= 0, "det failed in the linear algebra library (code %d)", info);
        double det = 1.0;
        for (int i = 0; i < n; i++) det *= pivots[static_cast<size_t>(i)] == i + 1 ? row(a.get(), i)[i] : -row(a.get(), i)[i];
        return det;
    });
}

SM_API sm_matrix* sm_cholesky(sm_ctx* ctx, sm_matrix* A) {
    return SM_ENTRY(ctx, {
        int n = square("cholesky", A);
        Matrix a = dense_copy(ctx, A);
        if (n == 0) return a.take();
        finite("cholesky", a.get());
        require(symmetric(a.get(), 1e-14), "cholesky: the matrix is not symmetric");
        int info = blas::table().dpotrf(kRowMajor, 'L', n, values(a.get()), n);
        require(info == 0, "cholesky: the matrix is not positive definite (leading minor %d)", info);
        for (int64_t i = 0; i < n; i++) std::fill(row(a.get(), i) + i + 1, row(a.get(), i) + n, 0.0);
        a->nnz = -1;
        return a.take();
    });
}

SM_API void sm_qr(sm_ctx* ctx, sm_matrix* A, sm_matrix** H, sm_matrix** R) {
    SM_ENTRY(ctx, {
        int m = blas::size(A->rows), n = blas::size(A->cols);
        Matrix r = dense_copy(ctx, A);
        Matrix h = new_dense_zero(ctx, m, n);
        if (m && n) {
            finite("qr", r.get());
            std::vector<double> tau(static_cast<size_t>(std::min(m, n)));
            solved("qr", blas::table().dgeqrf(kRowMajor, m, n, values(r.get()), n, tau.data()));
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < std::min<int64_t>(i + 1, n); j++) {
                    if (i == j) {
                        row(h.get(), i)[j] = 1.0;
                    } else {
                        row(h.get(), i)[j] = row(r.get(), i)[j];
                        row(r.get(), i)[j] = 0.0;
                    }
                }
            // A reflector that the library skips (nothing is below the diagonal) is one that changes a sign here: with
            // v = e_k it is I - 2 v t(v), so that Q is made of all columns of H in the same way.
            for (int64_t k = 0; k < std::min(m, n); k++)
                if (tau[static_cast<size_t>(k)] == 0)
                    for (int64_t j = k; j < n; j++) row(r.get(), k)[j] = -row(r.get(), k)[j];
        }
        h->nnz = r->nnz = -1;
        *H = h.take();
        *R = r.take();
    });
}

SM_API void sm_lu(sm_ctx* ctx, sm_matrix* A, sm_matrix** P, sm_matrix** L, sm_matrix** U) {
    SM_ENTRY(ctx, {
        int n = square("lu", A);
        Matrix u = dense_copy(ctx, A);
        finite("lu", u.get());
        std::vector<int> pivots(static_cast<size_t>(n));
        int info = n ? blas::table().dgetrf(kRowMajor, n, n, values(u.get()), n, pivots.data()) : 0;
        require(info >= 0, "lu failed in the linear algebra library (code %d)", info);
        std::vector<int64_t> order(static_cast<size_t>(n));
        for (int i = 0; i < n; i++) order[static_cast<size_t>(i)] = i;
        for (int i = 0; i < n; i++) std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(pivots[static_cast<size_t>(i)] - 1)]);
        Matrix p = new_dense_zero(ctx, n, n);
        Matrix l = new_dense_zero(ctx, n, n);
        for (int64_t i = 0; i < n; i++) {
            row(p.get(), i)[order[static_cast<size_t>(i)]] = 1.0;
            row(l.get(), i)[i] = 1.0;
            std::memcpy(row(l.get(), i), row(u.get(), i), static_cast<size_t>(i) * sizeof(double));
            std::fill(row(u.get(), i), row(u.get(), i) + i, 0.0);
        }
        p->nnz = n;
        l->nnz = u->nnz = -1;
        *P = p.take();
        *L = l.take();
        *U = u.take();
    });
}

SM_API void sm_eigen(sm_ctx* ctx, sm_matrix* A, sm_matrix** W, sm_matrix** V) {
    SM_ENTRY(ctx, {
        int n = square("eigen", A);
        Matrix v = dense_copy(ctx, A);
        Matrix w = new_dense(ctx, n, 1);
        if (n) {
            finite("eigen", v.get());
            require(symmetric(v.get(), 1e-10), "eigen: the matrix is not symmetric");
            solved("eigen", blas::table().dsyevd(kRowMajor, 'V', 'L', n, values(v.get()), n, values(w.get())));
        }
        v->nnz = -1;
        *W = w.take();
        *V = v.take();
    });
}

SM_API void sm_svd(sm_ctx* ctx, sm_matrix* A, sm_matrix** U, sm_matrix** S, sm_matrix** V) {
    SM_ENTRY(ctx, {
        int m = blas::size(A->rows), n = blas::size(A->cols), k = std::min(m, n);
        Matrix a = dense_copy(ctx, A);
        Matrix u = new_dense(ctx, m, k);
        Matrix s = new_dense_zero(ctx, k, k);
        Matrix v = new_dense(ctx, n, k);
        if (k) {
            finite("svd", a.get());
            std::vector<double> sigma(static_cast<size_t>(k)), vt(static_cast<size_t>(k) * static_cast<size_t>(n));
            solved("svd", blas::table().dgesdd(kRowMajor, 'S', m, n, values(a.get()), n, sigma.data(), values(u.get()), k, vt.data(), n));
            for (int64_t i = 0; i < k; i++) {
                row(s.get(), i)[i] = sigma[static_cast<size_t>(i)];
                for (int64_t j = 0; j < n; j++) row(v.get(), j)[i] = vt[static_cast<size_t>(i * n + j)];
            }
        }
        s->nnz = -1;
        *U = u.take();
        *S = s.take();
        *V = v.take();
    });
}
