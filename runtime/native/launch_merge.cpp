// Several CSR inputs: their entries are put side by side, one array for each input, and the dense variant of the kernel runs
// along these. So every kernel can be driven by any set of sparse inputs, without variants of its own.
#include "launch.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <memory>

namespace sm {

namespace {

constexpr int64_t kBlock = 2048;  // entries that are lined up before the kernel runs on them
constexpr int64_t kSkewed = 16;   // so many times as many: places are searched, not walked to
constexpr int64_t kWide = 4;      // so many times as many columns as entries in a chunk: no table of columns

// An array that grows without writing to what it does not hold yet.
template <class T>
struct Room {
    std::unique_ptr<T[]> data;
    int64_t capacity = 0;
    T* at_least(int64_t size, int64_t used = 0) {
        if (size <= capacity) return data.get();
        capacity = std::max(size, 2 * capacity);
        std::unique_ptr<T[]> larger(new T[size_t(capacity)]);
        if (used) memcpy(larger.get(), data.get(), size_t(used) * sizeof(T));
        data = std::move(larger);
        return data.get();
    }
};

// The columns that are in a or in b, in order; returns how many.
int64_t merge(const int32_t* a, int64_t n, const int32_t* b, int64_t m, int32_t* out) {
    int64_t p = 0, q = 0;
    int32_t* at = out;
    while (p < n && q < m) {
        int32_t ca = a[p], cb = b[q];
        *at++ = std::min(ca, cb);
        p += ca <= cb;
        q += cb <= ca;
    }
    at = std::copy(a + p, a + n, at);
    at = std::copy(b + q, b + m, at);
    return at - out;
}

// The columns where some leading input has an entry, row by row.
struct Union {
    const Launch& l;
    const int64_t* rowptr[SM_MAX_IN];
    Room<int32_t> room;
    std::vector<uint64_t> bits;  // of a row's columns, zeros in between
    const int32_t* columns = nullptr;

    explicit Union(const Launch& launch) : l(launch) {
        for (size_t k = 0; k < l.leaders.size(); k++) rowptr[k] = l.in[l.leaders[k]]->rowptr;
    }

    // The next row from r on that has entries, or `end`.
    int64_t skip(int64_t r, int64_t end) const {
        int64_t next = end;
        for (size_t k = 0; k < l.leaders.size(); k++) {
            const int64_t *p = rowptr[k], none = p[r];
            int64_t at = r;
            while (at < next && p[at + 1] == none) at++;
            next = at;
        }
        return next;
    }

    // Their number in row r; `columns` are in order, and stay until the next row.
    int64_t row(int64_t r) {
        const sm_matrix* first = l.in[l.leaders[0]].get();
        columns = first->colidx + first->rowptr[r];
        int64_t n = first->rowptr[r + 1] - first->rowptr[r], all = 0;
        for (int i : l.leaders) all += l.in[i]->rowptr[r + 1] - l.in[i]->rowptr[r];
        if (all == n) return n;
        int32_t *made = room.at_least(2 * all), *next = made + all;
        if (all > l.cols / kSkewed) return from_bits(r, made);
        for (size_t k = 1; k < l.leaders.size(); k++) {
            const sm_matrix* m = l.in[l.leaders[k]].get();
            int64_t more = m->rowptr[r + 1] - m->rowptr[r];
            if (more == 0) continue;
            n = merge(columns, n, m->colidx + m->rowptr[r], more, made);
            columns = made;
            std::swap(made, next);
        }
        return n;
    }

private:
    int64_t from_bits(int64_t r, int32_t* out) {
        bits.resize(size_t(l.cols / 64 + 1));
        for (int i : l.leaders) {
            const sm_matrix* m = l.in[i].get();
            for (int64_t p = m->rowptr[r]; p < m->rowptr[r + 1]; p++) bits[size_t(m->colidx[p] >> 6)] |= uint64_t(1) << (m->colidx[p] & 63);
        }
        columns = out;
        for (size_t w = 0; w < bits.size(); w++) {
            for (uint64_t left = bits[w]; left; left &= left - 1) *out++ = int32_t(64 * w) + __builtin_ctzll(left);
            bits[w] = 0;
        }
        return out - columns;
    }
};

// Row r of m at the columns `at`, zeros where it has no entry.
template <class T>
void line_up(const sm_matrix* m, int64_t r, const int32_t* at, int64_t n, T* out) {
    const T* x = values<T>(m);
    const int32_t* columns = m->colidx;
    int64_t p = m->rowptr[r], end = m->rowptr[r + 1], j = 0;
    if (end - p > kSkewed * n) {
        for (; j < n; j++) {
            p = std::lower_bound(columns + p, columns + end, at[j]) - columns;
            out[j] = p < end && columns[p] == at[j] ? x[p] : T(0);
        }
        return;
    }
    while (j < n && p < end) {
        int32_t have = columns[p], want = at[j];
        out[j] = have == want ? x[p] : T(0);
        p += have <= want;
        j += want <= have;
    }
    std::fill(out + j, out + n, T(0));
}

// The same with a table that says where columns are if they are among `at`, as all of those of a leader are. The cell behind the
// row may be written.
template <class T>
void line_up(const sm_matrix* m, int64_t r, const int32_t* at, int64_t n, const int32_t* table, bool leads, T* out) {
    const T* x = values<T>(m);
    const int64_t begin = m->rowptr[r], end = m->rowptr[r + 1];
    for (int64_t j = 0; j < n; j++) out[j] = T(0);
    if (leads) {
        for (int64_t p = begin; p < end; p++) out[table[m->colidx[p]]] = x[p];
        return;
    }
    for (int64_t p = begin; p < end; p++) {
        int32_t column = m->colidx[p], j = table[column];
        j = j < n ? j : 0;
        out[at[j] == column ? j : n] = x[p];
    }
}

struct Free {
    void operator()(int32_t* p) const { free(p); }
};

// What one chunk of a merge works with.
template <class T>
struct Lines {
    Launch& l;
    const sm_cell_args given;              // of the chunk, …
    sm_cell_args& a;                       // … and of one run
    const sm_cell_kernel& kernel;
    int64_t n = 0;                         // entries that are lined up, …
    Room<int32_t> columns;                 // … their columns, …
    Room<T> cells[SM_MAX_IN];              // … and the inputs there
    std::unique_ptr<int32_t, Free> table;  // where columns of the row are, if they are
    std::vector<double> sums;              // partial results of one run
    const sm_matrix* structure = nullptr;  // a result that says where rows begin, if any has these entries
    bool by_row = false;                   // rows cannot share a run of the kernel
    bool leads[SM_MAX_IN] = {};

    bool lined_up(int i) const { return l.key >> i & 1; }

    Lines(Launch& launch, sm_cell_args& args, int64_t entries) : l(launch), given(args), a(args), kernel(*launch.kernel) {
        by_row = l.has_kind(SM_OUT_ROW);
        for (int i : l.leaders) leads[i] = true;
        for (int i = 0; i < kernel.n_in; i++) by_row = by_row || (!lined_up(i) && given.in_rs[i] != 0);
        for (int k = 0; k < kernel.n_out; k++)
            if (kernel.out_kind[k] == SM_OUT_MAP) structure = l.out[k].get();
        if (l.cols > kWide * entries) return;
        table.reset(static_cast<int32_t*>(calloc(size_t(l.cols), sizeof(int32_t))));
        if (!table) throw std::bad_alloc();
    }

    // Row r where there are two leaders with few entries: they are merged as they are lined up.
    bool add_pair(int64_t r) {
        if (l.leaders.size() != 2) return false;
        const sm_matrix *first = l.in[l.leaders[0]].get(), *second = l.in[l.leaders[1]].get();
        const T *x = values<T>(first), *y = values<T>(second);
        const int32_t *a_at = first->colidx, *b_at = second->colidx;
        int64_t p = first->rowptr[r], q = second->rowptr[r], p_end = first->rowptr[r + 1], q_end = second->rowptr[r + 1];
        const int64_t most = n + (p_end - p) + (q_end - q);
        if (most - n > l.cols / kSkewed) return false;
        int32_t *begin = columns.at_least(most, n) + n, *at = begin;
        T *u = cells[l.leaders[0]].at_least(most + 1, n) + n, *v = cells[l.leaders[1]].at_least(most + 1, n) + n;
        while (p < p_end && q < q_end) {
            int32_t ca = a_at[p], cb = b_at[q];
            T xa = x[p], yb = y[q];
            *at++ = std::min(ca, cb);
            *u++ = ca <= cb ? xa : T(0);
            *v++ = cb <= ca ? yb : T(0);
            p += ca <= cb;
            q += cb <= ca;
        }
        for (; p < p_end; p++) *at++ = a_at[p], *u++ = x[p], *v++ = T(0);
        for (; q < q_end; q++) *at++ = b_at[q], *u++ = T(0), *v++ = y[q];
        add(r, begin, at - begin, true);
        return true;
    }

    // The inputs in row r at these columns; the leaders may be there already.
    void add(int64_t r, const int32_t* at, int64_t count, bool leaders_there = false) {
        if (!leaders_there) {
            int32_t* kept = columns.at_least(n + count, n) + n;
            for (int64_t j = 0; j < count; j++) kept[j] = at[j];
        }
        bool tabled = false;
        for (int i = 0; i < kernel.n_in; i++) {
            if (!lined_up(i) || (leaders_there && leads[i])) continue;
            T* out = cells[i].at_least(n + count + 1, n) + n;
            const sm_matrix* m = l.in[i].get();
            if (!m) {
                std::fill_n(out, count, static_cast<T>(l.args[i].v.f64));
            } else if (!is_csr(m)) {
                const T* x = values<T>(m) + (m->rows == 1 ? 0 : r * m->cols);
                for (int64_t j = 0; j < count; j++) out[j] = x[m->cols == 1 ? 0 : at[j]];
            } else if (m->colidx + m->rowptr[r] == at || (count == m->rowptr[r + 1] - m->rowptr[r] && leads[i])) {
                memcpy(out, values<T>(m) + m->rowptr[r], size_t(count) * sizeof(T));
            } else if (!table || m->rowptr[r + 1] - m->rowptr[r] > kSkewed * count) {
                line_up(m, r, at, count, out);
            } else {
                for (int64_t j = 0; j < count && !tabled; j++) table.get()[at[j]] = int32_t(j);
                tabled = true;
                line_up(m, r, at, count, table.get(), leads[i], out);
            }
        }
        n += count;
    }

    // Runs the kernel on what is lined up: rows from `first` on.
    void run(int64_t first) {
        if (n == 0) return;
        const int64_t from = structure ? structure->rowptr[first] : 0;
        for (int i = 0; i < kernel.n_in; i++) {
            if (lined_up(i)) a.in[i] = reinterpret_cast<const double*>(cells[i].data.get());
            else a.in[i] = reinterpret_cast<const double*>(reinterpret_cast<const T*>(given.in[i]) + first * given.in_rs[i]);
        }
        int64_t size = 0;
        for (int k = 0; k < kernel.n_out; k++) size += 2 * (kernel.out_kind[k] == SM_OUT_COL ? n : 1);
        if (int64_t(sums.size()) < size) sums.resize(size_t(size));
        double* free = sums.data();
        for (int k = 0; k < kernel.n_out; k++) {
            switch (kernel.out_kind[k]) {
                case SM_OUT_MAP:
                    a.out[k] = reinterpret_cast<double*>(values<T>(l.out[k].get()) + from);
                    if (l.leaders.size() > 1) memcpy(l.out[k]->colidx + from, columns.data.get(), size_t(n) * sizeof(int32_t));
                    break;
                case SM_OUT_ROW: a.out[k] = reinterpret_cast<double*>(reinterpret_cast<T*>(given.out[k]) + first); break;
                default: {
                    int64_t width = kernel.out_kind[k] == SM_OUT_COL ? n : 1;
                    a.out[k] = free;
                    a.out_rs[k] = width;
                    std::fill_n(free, width, identity(kernel.out_fn[k]));
                    std::fill_n(free + width, width, 0.0);
                    free += 2 * width;
                }
            }
        }
        l.fn(&a, 0, 1, 0, n);
        for (int k = 0; k < kernel.n_out; k++) {
            double *whole = given.out[k], *part = a.out[k];
            if (kernel.out_kind[k] == SM_OUT_FULL) fold(kernel.out_fn[k], whole[0], whole[1], part[0], part[1]);
            if (kernel.out_kind[k] == SM_OUT_COL) add_to_columns(kernel.out_fn[k], whole, part);
        }
        n = 0;
    }

    // A column's share of a run is one cell, which nothing was lost of.
    void add_to_columns(int fn, double* whole, const double* part) {
        const int32_t* at = columns.data.get();
        for (int64_t j = 0; j < n; j++) {
            double &value = whole[at[j]], before = value;
            if (fn != SM_AGG_SUM) {
                value = pick(fn, value, part[j]);
                continue;
            }
            value = before + part[j];  // what is lost is found without asking which one is larger
            double back = value - before;
            whole[l.cols + at[j]] += (before - (value - back)) + (part[j] - back);
        }
    }
};

}  // namespace

// Finds where the rows of the union of several leaders begin, and keeps its columns for those who visit it.
const int64_t* Launch::merged_rows() {
    if (leaders.size() == 1) return in[driver]->rowptr;
    if (!union_rows.empty()) return union_rows.data();
    union_rows.assign(size_t(rows) + 1, 0);
    union_columns.resize(size_t(chunks()));
    parallel_for(ctx, chunks(), [&](int64_t chunk) {
        int64_t begin = starts[size_t(chunk)], end = starts[size_t(chunk) + 1], most = 0;
        for (int i : leaders) most += in[i]->rowptr[end] - in[i]->rowptr[begin];
        std::unique_ptr<int32_t[]> made(new int32_t[size_t(most)]);
        int32_t* at = made.get();
        Union merged(*this);
        for (int64_t r = merged.skip(begin, end); r < end; r = merged.skip(r + 1, end)) {
            int64_t n = merged.row(r);
            memcpy(at, merged.columns, size_t(n) * sizeof(int32_t));
            at += n;
            union_rows[size_t(r) + 1] = n;
        }
        union_columns[size_t(chunk)] = std::move(made);
    });
    for (size_t r = 1; r < union_rows.size(); r++) union_rows[r] += union_rows[r - 1];
    return union_rows.data();
}

// The rows of a chunk of a merge: as many at a time as fill a block, or one by one.
void Launch::run_merged(sm_cell_args& a, int64_t chunk) {
    int64_t begin = starts[size_t(chunk)], end = starts[size_t(chunk) + 1], entries = 0;
    for (int i : leaders) entries += in[i]->rowptr[end] - in[i]->rowptr[begin];
    with_element(elem(), [&](auto type) {
        Lines<decltype(type)> lines(*this, a, entries);
        Union merged(*this);
        int64_t first = begin;
        for (int64_t r = merged.skip(begin, end); r < end; r = merged.skip(r + 1, end)) {
            if (lines.n == 0) first = r;
            if (!union_rows.empty()) {
                const int32_t* columns = union_columns[size_t(chunk)].get() + union_rows[size_t(r)] - union_rows[size_t(begin)];
                lines.add(r, columns, union_rows[size_t(r) + 1] - union_rows[size_t(r)]);
            } else if (!lines.add_pair(r)) {
                int64_t n = merged.row(r);
                lines.add(r, merged.columns, n);
            }
            if (lines.by_row || lines.n >= kBlock) lines.run(first);
        }
        lines.run(first);
    });
}

// For each column the rows where no leader has an entry.
std::vector<int64_t> Launch::unseen_in_columns() {
    std::vector<int64_t> unseen(size_t(cols), rows);
    if (leaders.size() == 1) {
        for (int64_t p = 0; p < in[driver]->nnz; p++) unseen[size_t(in[driver]->colidx[p])]--;
        return unseen;
    }
    merged_rows();
    for (int64_t chunk = 0; chunk < chunks(); chunk++) {
        int64_t n = union_rows[size_t(starts[size_t(chunk) + 1])] - union_rows[size_t(starts[size_t(chunk)])];
        for (int64_t p = 0; p < n; p++) unseen[size_t(union_columns[size_t(chunk)][size_t(p)])]--;
    }
    return unseen;
}

}  // namespace sm
