// Pending changes of a CSR matrix (see edit.cpp). Only the operators that read and write parts know of them.
#pragma once

#include "context.h"

#include <unordered_map>

namespace sm {

struct Entry {
    int32_t col;
    double value;
};

}  // namespace sm

struct sm_edits {
    std::unordered_map<int64_t, std::vector<sm::Entry>> rows;  // all of a changed row, by column
};

namespace sm {

// A reusable CSR matrix may be edited; X->nnz counts what it holds with its edits. Rows and columns are 0-based.
void open_edits(sm_matrix* X);
void edit_cell(sm_ctx* ctx, sm_matrix* X, int64_t i, int64_t j, double value);
void edit_row(sm_ctx* ctx, sm_matrix* X, int64_t i, int64_t c0, int64_t c1, const sm_matrix* V, int64_t from);
double edited_cell(const sm_matrix* X, int64_t i, int64_t j) noexcept;
// Where the entries of row i from column c0 up to c1 are in the arrays.
std::pair<int64_t, int64_t> columns(const sm_matrix* X, int64_t i, int64_t c0, int64_t c1);
double settled_cell(const sm_matrix* X, int64_t i, int64_t j) noexcept;
Matrix edited_rows(sm_ctx* ctx, const sm_matrix* X, int64_t r0, int64_t r1, int64_t c0, int64_t c1);
void settle(sm_ctx* ctx, sm_matrix* X);  // puts the edits into the arrays

}  // namespace sm
