// One launch of a cell kernel, from the shapes of its operands to the combination of partial results.
#pragma once

#include "context.h"

#include <math.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace sm {

double identity(int fn);  // of an aggregate function

// min and max let NaN through.
inline double pick(int fn, double a, double b) {
    if (fn == SM_AGG_PROD) return a * b;
    if (a != a) return a;
    if (b != b) return b;
    return fn == SM_AGG_MIN ? std::min(a, b) : std::max(a, b);
}

// A compensated running sum; an infinite or NaN value makes the compensation meaningless.
struct Sum {
    double value = 0, rest = 0;
    void add(double x) {
        double t = value + x;
        rest += fabs(value) >= fabs(x) ? (value - t) + x : (x - t) + value;
        value = t;
    }
    void add(double x, double rest_of_x) {
        add(x);
        if (std::isfinite(x)) rest += rest_of_x;
    }
    double result() const { return std::isfinite(value) ? value + rest : value; }
};

// What the outputs of a kernel are where the input that drives it is 0.
struct AtZero {
    enum { kEverywhere, kByRow, kByColumn } along = kEverywhere;
    std::vector<double> values[SM_MAX_OUT];  // empty: 0
    double of(int k, int64_t at) const { return values[k].empty() ? 0 : values[k][along == kEverywhere ? 0 : size_t(at)]; }
};
std::string kernel_title(const char* name);  // without prefix and hash

// Adds the partial result (value, rest) of a function to another one.
inline void fold(int fn, double& value, double& rest, double more, double rest_of_more) {
    if (fn != SM_AGG_SUM) {
        value = pick(fn, value, more);
        return;
    }
    Sum sum{value, rest};
    sum.add(more, rest_of_more);
    value = sum.value;
    rest = sum.rest;
}

struct Launch {
    sm_ctx* ctx;
    const sm_cell_kernel* kernel;
    const sm_arg* args;
    uint32_t consumed;
    void** results;

    int64_t rows = 1, cols = 1;
    Matrix in[SM_MAX_IN];        // matrices as the kernel reads them
    double scalar[SM_MAX_IN];
    float scalar_single[SM_MAX_IN];
    int form = SM_FORM_DENSE;
    std::vector<int> leaders;    // the CSR inputs whose entries are visited; none: every cell is
    int driver = -1;             // the first of them, or -1
    bool merges = false;         // several CSR inputs are brought together (launch_merge.cpp)
    std::vector<int64_t> union_rows;  // where the rows of the union of several leaders begin, once somebody asked, …
    std::vector<std::unique_ptr<int32_t[]>> union_columns;  // … and the columns of each chunk
    AtZero at_zero;
    bool spread[SM_MAX_IN] = {}; // CSR inputs that do not drive: written out a few rows at a time
    bool spreads = false;
    bool flat = false;           // all operands are contiguous: one long row
    uint32_t key = 0;
    sm_cell_fn fn = nullptr;
    sm_cell_args call;           // the fields of inputs and outputs that exist are set
    Matrix out[SM_MAX_OUT];
    std::vector<int64_t> starts; // row (or flat column) bounds of the chunks
    std::vector<double> partials[SM_MAX_OUT];

    uint8_t elem() const { return kernel->traits & SM_CELL_SINGLE ? SM_F32 : SM_F64; }
    const double* scalar_cell(int i, double v);  // the address of v as a cell
    bool is_matrix(int i) const { return args[i].tag == SM_TAG_MATRIX; }
    bool full(int i) const { return is_matrix(i) && args[i].v.matrix->rows == rows && args[i].v.matrix->cols == cols; }
    bool has_kind(int kind) const {
        for (int k = 0; k < kernel->n_out; k++)
            if (kernel->out_kind[k] == kind) return true;
        return false;
    }
    int64_t chunks() const { return int64_t(starts.size()) - 1; }

    void find_shape();
    [[noreturn]] void shape_mismatch();
    bool variant_exists(uint32_t wanted) const;
    uint32_t vector_bits() const;
    bool find_zeros(uint32_t zeros, uint32_t needs, AtZero& found);
    void choose_leaders();
    void choose_form();
    void choose_variant();
    void bind_inputs();
    void cut();
    void allocate();
    void run();
    void run_chunk(sm_cell_args& a, int64_t chunk);
    void run_pieces(sm_cell_args& a, int64_t begin, int64_t end);
    void combine();
    Matrix reusable_input(uint8_t format);
    const int64_t* merged_rows();
    std::vector<int64_t> unseen_in_columns();
    void run_merged(sm_cell_args& a, int64_t chunk);
};

sm_cell_fn variant(sm_ctx* ctx, const sm_cell_kernel* kernel, uint32_t key);  // its code, or null

}  // namespace sm
