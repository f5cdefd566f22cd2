// Cells and rows of CSR matrices that are changed one after the other. Changed rows live outside of the arrays until somebody
// reads the matrix as a whole: a change costs what its row is long, not what the matrix holds. The compiler knows who reads
// (`settle-edits`); everything else in the runtime sees settled matrices only.
#include "edit.h"

#include <string.h>

#include <algorithm>

namespace sm {
namespace {

// Where column j is in a row, or would be.
std::vector<Entry>::iterator place(std::vector<Entry>& row, int64_t j) {
    return std::lower_bound(row.begin(), row.end(), j, [](const Entry& e, int64_t col) { return e.col < col; });
}

double stored(const sm_matrix* X, int64_t p) { return is_single(X) ? double(values<float>(X)[p]) : values(X)[p]; }

std::vector<Entry>& editable_row(sm_matrix* X, int64_t i) {
    auto [found, made] = X->edits->rows.try_emplace(i);
    std::vector<Entry>& row = found->second;
    if (made) {
        row.reserve(size_t(X->rowptr[i + 1] - X->rowptr[i]) + 1);
        for (int64_t p = X->rowptr[i]; p < X->rowptr[i + 1]; p++) row.push_back({X->colidx[p], stored(X, p)});
    }
    return row;
}

}  // namespace

void open_edits(sm_matrix* X) {
    if (!X->edits) X->edits = new sm_edits;
}

void edit_cell(sm_ctx* ctx, sm_matrix* X, int64_t i, int64_t j, double value) {
    open_edits(X);
    context(ctx)->stats.edits++;
    std::vector<Entry>& row = editable_row(X, i);
    auto at = place(row, j);
    bool there = at != row.end() && at->col == j;
    if (value == 0) {
        if (there) row.erase(at), X->nnz--;
    } else if (there) {
        at->value = value;
    } else {
        row.insert(at, {int32_t(j), value});
        X->nnz++;
    }
}

void edit_row(sm_ctx* ctx, sm_matrix* X, int64_t i, int64_t c0, int64_t c1, const sm_matrix* V, int64_t from) {
    open_edits(X);
    context(ctx)->stats.edits++;
    std::vector<Entry>& row = editable_row(X, i);
    std::vector<Entry> added;
    if (is_csr(V)) {
        for (int64_t p = V->rowptr[from]; p < V->rowptr[from + 1]; p++) added.push_back({int32_t(V->colidx[p] + c0), stored(V, p)});
    } else {
        for (int64_t j = 0; j < V->cols; j++)
            if (double v = cell(V, from, j); v != 0) added.push_back({int32_t(c0 + j), v});
    }
    auto first = place(row, c0), last = place(row, c1);
    X->nnz += int64_t(added.size()) - (last - first);
    row.insert(row.erase(first, last), added.begin(), added.end());
}

double edited_cell(const sm_matrix* X, int64_t i, int64_t j) noexcept {
    auto found = X->edits->rows.find(i);
    if (found == X->edits->rows.end()) return settled_cell(X, i, j);
    auto at = place(found->second, j);
    return at != found->second.end() && at->col == j ? at->value : 0.0;
}

Matrix edited_rows(sm_ctx* ctx, const sm_matrix* X, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    std::vector<Entry> entries;
    std::vector<int64_t> ends;
    for (int64_t i = r0; i < r1; i++) {
        auto found = X->edits->rows.find(i);
        if (found != X->edits->rows.end()) {
            entries.insert(entries.end(), place(found->second, c0), place(found->second, c1));
        } else {
            auto [p, q] = columns(X, i, c0, c1);
            for (; p < q; p++) entries.push_back({X->colidx[p], stored(X, p)});
        }
        ends.push_back(int64_t(entries.size()));
    }
    int64_t n = r1 - r0, nnz = int64_t(entries.size());
    bool sparse = better_csr(n, c1 - c0, nnz, X->elem);
    Matrix r = sparse ? new_csr(ctx, n, c1 - c0, nnz, X->elem) : new_dense_zero(ctx, n, c1 - c0, X->elem);
    with_element(X, [&](auto type) {
        using T = decltype(type);
        int64_t e = 0;
        for (int64_t i = 0; i < n; i++) {
            for (; e < ends[size_t(i)]; e++) {
                int64_t j = entries[size_t(e)].col - c0, at = sparse ? e : i * (c1 - c0) + j;
                values<T>(r.get())[at] = static_cast<T>(entries[size_t(e)].value);
                if (sparse) r->colidx[e] = int32_t(j);
            }
            if (sparse) r->rowptr[i + 1] = e;
        }
    });
    r->nnz = nnz;
    return r;
}

void settle(sm_ctx* ctx, sm_matrix* X) {
    if (!X->edits) return;
    std::unique_ptr<sm_edits> edits(X->edits);
    if (edits->rows.empty()) {
        X->edits = nullptr;
        return;
    }
    std::vector<int64_t> changed;
    changed.reserve(edits->rows.size());
    for (const auto& one : edits->rows) changed.push_back(one.first);
    std::sort(changed.begin(), changed.end());
    Matrix made = Matrix();
    try {
        made = new_csr(ctx, X->rows, X->cols, X->nnz, X->elem);
    } catch (...) {
        edits.release();  // the matrix keeps them: it must stay what it is
        throw;
    }
    context(ctx)->stats.settled++;
    with_element(X, [&](auto type) {
        using T = decltype(type);
        T* out = values<T>(made.get());
        int64_t next = 0, o = 0;  // the first row that is not there yet, the entries that are
        auto keep = [&](int64_t end) {
            int64_t p = X->rowptr[next], n = X->rowptr[end] - p, shift = o - p;
            memcpy(out + o, values<T>(X) + p, size_t(n) * sizeof(T));
            memcpy(made->colidx + o, X->colidx + p, size_t(n) * 4);
            for (; next < end; next++) made->rowptr[next + 1] = X->rowptr[next + 1] + shift;
            o += n;
        };
        for (int64_t i : changed) {
            keep(i);
            for (const Entry& e : edits->rows.find(i)->second) {
                out[o] = static_cast<T>(e.value);
                made->colidx[o++] = e.col;
            }
            made->rowptr[++next] = o;
        }
        keep(X->rows);
    });
    X->edits = nullptr;
    std::swap(X->data, made->data);
    std::swap(X->rowptr, made->rowptr);
    std::swap(X->colidx, made->colidx);
    std::swap(X->capacity, made->capacity);
}

}  // namespace sm

// A matrix that may have been edited is about to be read by an operator that knows nothing of edits.
SM_API void sm_settle(sm_ctx* ctx, sm_matrix* m) {
    if (m->edits) SM_ENTRY(ctx, { sm::settle(ctx, m); });
}
