// One launch of a cell kernel, from the shapes of its operands to the combination of partial results.
#pragma once

#include "context.h"

#include <vector>

namespace sm {

double identity(int fn);  // of an aggregate function
std::string kernel_title(const char* name);  // without prefix and hash

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
    int driver = -1;             // the CSR input that drives, or -1
    bool flat = false;           // all operands are contiguous: one long row
    uint32_t key = 0;
    sm_cell_fn fn = nullptr;
    sm_cell_args call;           // the fields of inputs and outputs that exist are set
    Matrix out[SM_MAX_OUT];
    std::vector<int64_t> starts; // row (or flat column) bounds of the chunks
    std::vector<double> partials[SM_MAX_OUT];

    uint8_t elem() const { return kernel->zero_safe & SM_CELL_SINGLE ? SM_F32 : SM_F64; }
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
    bool zero_at(int i);
    void choose_form();
    void choose_variant();
    void bind_inputs();
    void cut();
    void allocate();
    void run();
    void combine();
    Matrix reusable_input(uint8_t format);
    void union_structure(sm_matrix* r);
};

}  // namespace sm
