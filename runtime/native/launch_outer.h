// One launch of a region over products U t(V): the cells of the products are computed where the region needs them.
//
// The kernel of the region is a dense cell kernel; its first inputs are cells of the products. It is called on runs of
// non-zeros of a CSR driver (sampled), or on tiles that fit into the cache (tiled). What becomes of its outputs is done here.
#pragma once

#include "core.h"

#include "sum.h"

#include <vector>

namespace sm {

// A factor of a product: `count` rows of `inner` cells, stored one after the other, or (strided) as columns.
struct Factor {
    Matrix m;
    bool strided = false;
    template <class T>
    const T* at(int64_t i) const { return values<T>(m.get()) + (strided ? i : i * m->cols); }
};

// One input of the kernel.
struct OuterInput {
    enum Kind { kProduct, kScalar, kCell, kRow, kColumn, kFull };  // kCell: a matrix of one cell
    Kind kind = kScalar;
    double scalar = 0;
    float scalar_single = 0;
    Matrix m;       // kCell, kRow, kColumn, kFull
    Factor u, v;    // kProduct
    int64_t inner = 0;
};

struct OuterLaunch {
    sm_ctx* ctx;
    const sm_cell_kernel* kernel;
    const sm_arg* args;
    void** results;
    // 'm' the cells; sums: 'f' of all, 'r' of rows, 'c' of columns; products: 'R' S %*% B, 'L' t(S) %*% A
    const char* outputs = nullptr;
    int products = 0;

    int64_t rows = 0, cols = 0;
    OuterInput in[SM_MAX_IN];
    Matrix factor[SM_MAX_OUT];   // B or A of products that close an output; dense
    const char* joint = "";      // inputs, from 'a', whose zeros together make all outputs zero
    Matrix driver;               // CSR: outputs are zero where it has no entries; none: to be computed everywhere
    sm_cell_fn fn = nullptr;

    bool has(char output) const {
        for (int k = 0; k < kernel->n_out; k++)
            if (outputs[k] == output) return true;
        return false;
    }
    int64_t width(int k) const { return factor[k]->cols; }
    uint8_t elem() const { return kernel->traits & SM_CELL_SINGLE ? SM_F32 : SM_F64; }
    void set(int k, Matrix m) { *static_cast<sm_matrix**>(results[k]) = m.take(); }
    void set(int k, double v) { *static_cast<double*>(results[k]) = v; }

    void find_shape();
    void find_driver();
    void form_products();
    void find_kernel();
    // With T the type of all cells. Sums are f64 in any case.
    template <class T>
    void sampled();
    template <class T>
    void tiled();
};

// Buffers of cells as kernels take them: their arguments are declared with one type, whatever cells are.
template <class T>
const double* as_input(const T* cells) { return reinterpret_cast<const double*>(cells); }
template <class T>
double* as_output(T* cells) { return reinterpret_cast<double*>(cells); }

inline const float* scalar_cell(const OuterInput& x, float) { return &x.scalar_single; }
inline const double* scalar_cell(const OuterInput& x, double) { return &x.scalar; }

// out[g] = u_g . v_g for g < count, where u_g = u + rows[g] * k, v_g = v + cols[g] * k. Works in groups of 8: `rows`, `cols` and
// `out` have room for the last one; `ahead` entries of `cols` beyond `count` may be looked at.
constexpr int64_t kDotGroup = 8, kDotAhead = 24;
void sampled_dots(const double* u, const int32_t* rows, const double* v, const int32_t* cols, int64_t count, int64_t k, double* out);
void sampled_dots(const float* u, const int32_t* rows, const float* v, const int32_t* cols, int64_t count, int64_t k, float* out);

// out[0..q) += sum of s[g] * b[cols[g], 0..q).
void add_rows(const int32_t* cols, const double* s, int64_t count, const double* b, int64_t q, double* out);
void add_rows(const int32_t* cols, const float* s, int64_t count, const float* b, int64_t q, float* out);

// Adds x[0..n) to sums with compensations.
void add_compensated(double* sums, double* rests, const double* x, int64_t n);
void add_compensated(double* sums, double* rests, const float* x, int64_t n);
void add_cells(CompensatedSum& sum, const double* x, int64_t n);
void add_cells(CompensatedSum& sum, const float* x, int64_t n);

}  // namespace sm
