// Launching cell kernels: shapes, formats, variants, chunks, and the combination of partial aggregates.
// Everything that decides an order of operations depends on sizes and data only, never on the threads.
#include "context.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace sm {
namespace {

constexpr int64_t kSerial = 32768;  // cells below which one chunk does it all

struct Launch {
    sm_ctx* ctx;
    const sm_cell_kernel* kernel;
    const sm_arg* args;
    uint32_t consumed;
    void** results;

    int64_t rows = 1, cols = 1;
    Matrix in[SM_MAX_IN];        // matrices as the kernel reads them
    double scalar[SM_MAX_IN];
    int form = SM_FORM_DENSE;
    int driver = -1;             // the CSR input that drives, or -1
    bool flat = false;           // all operands are contiguous: one long row
    uint32_t key = 0;
    sm_cell_fn fn = nullptr;
    sm_cell_args call;           // the fields of inputs and outputs that exist are set
    Matrix out[SM_MAX_OUT];
    std::vector<int64_t> starts; // row (or flat column) bounds of the chunks
    std::vector<double> partials[SM_MAX_OUT];

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

double identity(int fn) {
    switch (fn) {
        case SM_AGG_SUM: return 0;
        case SM_AGG_PROD: return 1;
        case SM_AGG_MIN: return std::numeric_limits<double>::infinity();
        default: return -std::numeric_limits<double>::infinity();
    }
}

// min and max let NaN through.
double pick(int fn, double a, double b) {
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
    double result() const { return std::isfinite(value) ? value + rest : value; }
};

void Launch::shape_mismatch() {
    std::string shapes;
    for (int i = 0; i < kernel->n_in; i++)
        if (is_matrix(i)) shapes += (shapes.empty() ? "" : " and ") + shape(args[i].v.matrix);
    fail("%s: matrix dimensions do not agree: %s", kernel->name ? kernel->name : "cellwise operation", shapes.c_str());
}

// Some matrix has the full shape; the others equal it or are broadcast as a row, a column or a single cell.
void Launch::find_shape() {
    int64_t r = -1, c = -1, widest = -1, tallest = -1;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        const sm_matrix* m = args[i].v.matrix;
        if (r < 0 || (m->rows != 1 && r == 1)) r = m->rows;
        if (c < 0 || (m->cols != 1 && c == 1)) c = m->cols;
        if (m->rows == 1) widest = i;
        if (m->cols == 1) tallest = i;
    }
    if (r < 0) return;  // scalars only: one cell
    rows = r;
    cols = c;
    bool some_full = false;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        const sm_matrix* m = args[i].v.matrix;
        if ((m->rows != rows && m->rows != 1) || (m->cols != cols && m->cols != 1)) shape_mismatch();
        some_full = some_full || full(i);
    }
    bool outer = widest >= 0 && tallest >= 0 && ((kernel->zero_safe & 2) || (kernel->name && strstr(kernel->name, "outer")));
    if (!some_full && !outer) shape_mismatch();
}

bool Launch::variant_exists(uint32_t wanted) const {
    for (int i = 0; i < kernel->n_variants; i++)
        if (kernel->variant_keys[i] == wanted) return true;
    return ctx->resolve != nullptr;
}

uint32_t Launch::vector_bits() const {
    uint32_t bits = 0;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        const sm_matrix* m = args[i].v.matrix;
        if (m->rows * m->cols == 1 && rows * cols != 1) continue;
        if (m->cols == cols) bits |= 1u << i;
    }
    return bits;
}

int csr_form(int i) { return i == 0 ? SM_FORM_CSR0 : i == 1 ? SM_FORM_CSR1 : i + 2; }

// A CSR input drives the kernel when zeros in it make zeros in the result; two may be merged when zeros in both do.
void Launch::choose_form() {
    int sparse = 0, matrices = 0;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        matrices++;
        const sm_matrix* m = args[i].v.matrix;
        if (!is_csr(m)) continue;
        sparse++;
        if (!(kernel->sparse_safe >> i & 1) || !full(i) || !variant_exists(vector_bits() | uint32_t(csr_form(i)) << 16)) continue;
        if (driver < 0 || m->nnz < args[driver].v.matrix->nnz) driver = i;
    }
    if (driver >= 0) form = csr_form(driver);
    if (sparse == 2 && matrices == 2 && kernel->n_in >= 2 && (kernel->zero_safe & 1) && full(0) && full(1) && is_csr(args[0].v.matrix) &&
        is_csr(args[1].v.matrix) && variant_exists(vector_bits() | uint32_t(SM_FORM_UNION) << 16)) {
        form = SM_FORM_UNION;
        driver = 0;
    }
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        bool keep = i == driver || (form == SM_FORM_UNION && i == 1);
        in[i] = keep ? Matrix::borrow(args[i].v.matrix) : to_dense(ctx, args[i].v.matrix);
    }
    flat = form == SM_FORM_DENSE && !has_kind(SM_OUT_ROW) && !has_kind(SM_OUT_COL);
    for (int i = 0; i < kernel->n_in && flat; i++)
        if (is_matrix(i) && !full(i) && cells(args[i].v.matrix) != 1) flat = false;
}

sm_cell_fn lookup(sm_ctx* ctx, const sm_cell_kernel* kernel, uint32_t key) {
    for (int i = 0; i < kernel->n_variants; i++)
        if (kernel->variant_keys[i] == key) {
            if (!kernel->variants[i] && ctx->resolve) kernel->variants[i] = ctx->resolve(ctx, kernel, key);
            return kernel->variants[i];
        }
    return ctx->resolve ? ctx->resolve(ctx, kernel, key) : nullptr;
}

// Where no variant fits, broadcast operands are written out in full for one that reads more of them as vectors.
void Launch::choose_variant() {
    key = vector_bits() | uint32_t(form) << 16;
    fn = lookup(ctx, kernel, key);
    if (fn) return;
    for (int v = 0; v < kernel->n_variants && !fn; v++) {
        uint32_t other = kernel->variant_keys[v];
        if (other >> 16 == key >> 16 && (other & key & 0xffff) == (key & 0xffff)) {
            fn = lookup(ctx, kernel, other);
            if (fn) key = other;
        }
    }
    if (!fn) fail("%s: no kernel for these operands (variant %x)", kernel->name ? kernel->name : "cellwise operation", key);
    for (int i = 0; i < kernel->n_in; i++) {
        if (!(key >> i & 1) || (vector_bits() >> i & 1)) continue;
        Matrix source = in[i];
        double s = is_matrix(i) ? 0 : args[i].v.f64;
        Matrix wide = new_dense(ctx, rows, cols);
        for (int64_t r = 0; r < rows; r++) {
            double v = !source ? s : values(source.get())[source->rows == 1 ? 0 : r];
            std::fill(row(wide.get(), r), row(wide.get(), r) + cols, v);
        }
        in[i] = wide;
    }
}

void Launch::bind_inputs() {
    call.rowptr = call.rowptr2 = nullptr;
    call.colidx = call.colidx2 = nullptr;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!in[i]) {
            scalar[i] = args[i].v.f64;
            call.in[i] = &scalar[i];
            call.in_rs[i] = 0;
            continue;
        }
        const sm_matrix* m = in[i].get();
        call.in[i] = values(m);
        bool csr = is_csr(m);
        call.in_rs[i] = csr || m->rows == 1 || flat ? 0 : m->cols;
        if (csr && form == SM_FORM_UNION && i == 1) {
            call.rowptr2 = m->rowptr;
            call.colidx2 = m->colidx;
        } else if (csr) {
            call.rowptr = m->rowptr;
            call.colidx = m->colidx;
        }
    }
}

// Chunks of about 128 KiB a stream; larger ones for large matrices, so that their number stays in the hundreds.
int64_t chunk_cells(int64_t total) {
    int64_t size = (total / 256 + 8191) / 8192 * 8192;
    return std::clamp<int64_t>(size, 16384, 131072);
}

void Launch::cut() {
    starts.reserve(2);
    starts.push_back(0);
    if (form != SM_FORM_DENSE) {
        const int64_t* rowptr = in[driver]->rowptr;
        int64_t work = in[driver]->nnz + rows;
        if (form == SM_FORM_UNION) work += in[1]->nnz;
        int64_t n = work <= kSerial ? 1 : work / chunk_cells(work);
        if (has_kind(SM_OUT_COL)) n = std::min<int64_t>(n, std::clamp<int64_t>(work / (4 * cols + 1), 1, 32));
        for (int64_t i = 1; i < n; i++) {  // equal shares of entries and rows
            int64_t target = in[driver]->nnz * i / n;
            int64_t r = std::lower_bound(rowptr, rowptr + rows, target) - rowptr;
            if (in[driver]->nnz < rows) r = rows * i / n;
            if (r > starts.back()) starts.push_back(r);
        }
        if (rows > starts.back()) starts.push_back(rows);
        return;
    }
    int64_t extent = flat ? rows * cols : rows, unit = flat ? 1 : std::max<int64_t>(cols, 1);
    int64_t total = extent * unit;
    int64_t step = total <= kSerial ? extent : std::max<int64_t>(chunk_cells(total) / unit, 1);
    if (has_kind(SM_OUT_COL)) step = std::max({step, (extent + 63) / 64, std::min<int64_t>(extent, 16)});
    step = std::max<int64_t>(step, 1);
    for (int64_t s = step; s < extent; s += step) starts.push_back(s);
    if (extent > 0) starts.push_back(extent);
}

// The matrix of a consumed input that nobody else holds, to be overwritten by a map output.
Matrix Launch::reusable_input(uint8_t format) {
    for (int i = 0; i < kernel->n_in; i++) {
        if (!(consumed >> i & 1) || !full(i)) continue;
        sm_matrix* m = args[i].v.matrix;
        int others = in[i].get() == m ? 2 : 1;  // the caller's reference and ours
        if (m->format != format || (m->flags & SM_READONLY) || m->o.holds || __atomic_load_n(&m->o.refs, __ATOMIC_ACQUIRE) != others) continue;
        if (format == SM_CSR && i != driver) continue;
        bool twice = false;
        for (int j = 0; j < kernel->n_in; j++) twice = twice || (j != i && is_matrix(j) && args[j].v.matrix == m);
        if (twice) continue;
        consumed &= ~(1u << i);
        m->nnz = format == SM_CSR ? m->nnz : -1;
        return Matrix(m);
    }
    return Matrix();
}

void Launch::union_structure(sm_matrix* r) {
    const sm_matrix *a = in[0].get(), *b = in[1].get();
    parallel_for(ctx, chunks(), [&](int64_t chunk) {
        for (int64_t i = starts[size_t(chunk)]; i < starts[size_t(chunk) + 1]; i++) {
            int64_t p = a->rowptr[i], q = b->rowptr[i], pe = a->rowptr[i + 1], qe = b->rowptr[i + 1], o = r->rowptr[i];
            while (p < pe && q < qe) {
                int32_t ca = a->colidx[p], cb = b->colidx[q];
                r->colidx[o++] = std::min(ca, cb);
                p += ca <= cb;
                q += cb <= ca;
            }
            while (p < pe) r->colidx[o++] = a->colidx[p++];
            while (q < qe) r->colidx[o++] = b->colidx[q++];
        }
    });
}

std::vector<int64_t> union_rowptr(Launch& l) {
    const sm_matrix *a = l.in[0].get(), *b = l.in[1].get();
    std::vector<int64_t> ptr(size_t(l.rows) + 1, 0);
    parallel_for(l.ctx, l.chunks(), [&](int64_t chunk) {
        for (int64_t i = l.starts[size_t(chunk)]; i < l.starts[size_t(chunk) + 1]; i++) {
            int64_t p = a->rowptr[i], q = b->rowptr[i], pe = a->rowptr[i + 1], qe = b->rowptr[i + 1];
            int64_t common = 0, all = (pe - p) + (qe - q);
            while (p < pe && q < qe) {
                int32_t ca = a->colidx[p], cb = b->colidx[q];
                common += ca == cb;
                p += ca <= cb;
                q += cb <= ca;
            }
            ptr[size_t(i) + 1] = all - common;
        }
    });
    for (size_t i = 1; i < ptr.size(); i++) ptr[i] += ptr[i - 1];
    return ptr;
}

void Launch::allocate() {
    std::vector<int64_t> merged;
    for (int k = 0; k < kernel->n_out; k++) {
        double id = identity(kernel->out_fn[k]);
        switch (kernel->out_kind[k]) {
            case SM_OUT_MAP:
                out[k] = form == SM_FORM_UNION ? Matrix() : reusable_input(form == SM_FORM_DENSE ? SM_DENSE : SM_CSR);
                if (form == SM_FORM_DENSE) {
                    if (!out[k]) out[k] = new_dense(ctx, rows, cols);
                } else if (form == SM_FORM_UNION) {
                    if (merged.empty()) merged = union_rowptr(*this);
                    out[k] = new_csr(ctx, rows, cols, merged.back());
                    memcpy(out[k]->rowptr, merged.data(), merged.size() * 8);
                    union_structure(out[k].get());
                } else if (!out[k]) {
                    const sm_matrix* d = in[driver].get();
                    out[k] = new_csr(ctx, rows, cols, d->nnz);
                    memcpy(out[k]->rowptr, d->rowptr, size_t(rows + 1) * 8);
                    memcpy(out[k]->colidx, d->colidx, size_t(d->nnz) * 4);
                }
                call.out[k] = values(out[k].get());
                call.out_rs[k] = form == SM_FORM_UNION ? reinterpret_cast<intptr_t>(out[k]->rowptr) : flat ? 0 : cols;
                break;
            case SM_OUT_FULL:
                partials[k].assign(size_t(chunks()) * 2, 0.0);
                for (size_t i = 0; i < partials[k].size(); i += 2) partials[k][i] = id;
                break;
            case SM_OUT_ROW:
                out[k] = new_dense(ctx, rows, 1);
                call.out[k] = values(out[k].get());
                call.out_rs[k] = 1;
                std::fill(call.out[k], call.out[k] + rows, id);
                break;
            default:
                call.out_rs[k] = cols;
                partials[k].assign(size_t(chunks()) * 2 * size_t(cols), 0.0);
                if (id != 0)
                    for (int64_t c = 0; c < chunks(); c++)
                        std::fill_n(partials[k].begin() + c * 2 * cols, cols, id);
        }
    }
}

void Launch::run() {
    auto run_chunk = [&](sm_cell_args& a, int64_t chunk) {
        for (int k = 0; k < kernel->n_out; k++) {
            if (kernel->out_kind[k] == SM_OUT_FULL) a.out[k] = &partials[k][size_t(chunk) * 2];
            if (kernel->out_kind[k] == SM_OUT_COL) a.out[k] = &partials[k][size_t(chunk) * 2 * size_t(cols)];
        }
        int64_t begin = starts[size_t(chunk)], end = starts[size_t(chunk) + 1];
        if (flat) fn(&a, 0, 1, begin, end);
        else fn(&a, begin, end, 0, cols);
    };
    if (chunks() == 1) return run_chunk(call, 0);
    parallel_for(ctx, chunks(), [&](int64_t chunk) {
        sm_cell_args a = call;
        run_chunk(a, chunk);
    });
}

// Entries that a CSR-driven kernel did not see are zeros of the result.
double with_zeros(int fn, double v, bool zeros) { return zeros && fn != SM_AGG_SUM ? pick(fn, v, 0.0) : v; }

void Launch::combine() {
    const sm_matrix* d = driver >= 0 ? in[driver].get() : nullptr;
    bool drops = form != SM_FORM_DENSE;
    auto stored = [&](int64_t i) -> int64_t {  // entries of row i that the kernel saw
        if (form != SM_FORM_UNION) return d->rowptr[i + 1] - d->rowptr[i];
        const sm_matrix* b = in[1].get();
        int64_t p = d->rowptr[i], q = b->rowptr[i], n = 0;
        for (; p < d->rowptr[i + 1] && q < b->rowptr[i + 1]; n++) {
            int32_t ca = d->colidx[p], cb = b->colidx[q];
            p += ca <= cb;
            q += cb <= ca;
        }
        return n + (d->rowptr[i + 1] - p) + (b->rowptr[i + 1] - q);
    };
    for (int k = 0; k < kernel->n_out; k++) {
        int f = kernel->out_fn[k];
        auto** matrix_result = static_cast<sm_matrix**>(results[k]);
        if (kernel->out_kind[k] == SM_OUT_MAP) continue;
        if (kernel->out_kind[k] == SM_OUT_FULL) {
            double v = identity(f);
            Sum sum;
            for (size_t i = 0; i < partials[k].size(); i += 2) {
                double part = partials[k][i], rest = partials[k][i + 1];
                if (f != SM_AGG_SUM) v = pick(f, v, part);
                else sum.add(part), sum.rest += std::isfinite(part) ? rest : 0;
            }
            if (f == SM_AGG_SUM) v = sum.result();
            else if (drops) {
                bool zeros = false;
                for (int64_t i = 0; i < rows && !zeros; i++) zeros = stored(i) < cols;
                v = with_zeros(f, v, zeros);
            }
            *static_cast<double*>(results[k]) = v;
        } else if (kernel->out_kind[k] == SM_OUT_ROW) {
            if (drops && f != SM_AGG_SUM)
                for (int64_t i = 0; i < rows; i++) values(out[k].get())[i] = with_zeros(f, values(out[k].get())[i], stored(i) < cols);
            *matrix_result = out[k].take();
        } else {
            Matrix r = new_dense(ctx, 1, cols);
            std::vector<int64_t> seen(drops && f != SM_AGG_SUM ? size_t(cols) : 0, 0);
            if (!seen.empty()) {
                for (int64_t p = 0; p < d->nnz; p++) seen[size_t(d->colidx[p])]++;
                if (form == SM_FORM_UNION)  // a column is full only where both structures together are
                    for (int64_t i = 0; i < rows; i++)
                        for (int64_t p = in[1]->rowptr[i]; p < in[1]->rowptr[i + 1]; p++) {
                            const int32_t *b = d->colidx + d->rowptr[i], *e = d->colidx + d->rowptr[i + 1];
                            if (!std::binary_search(b, e, in[1]->colidx[p])) seen[size_t(in[1]->colidx[p])]++;
                        }
            }
            parallel_chunks(ctx, cols, 512, [&](int64_t c0, int64_t c1) {
                for (int64_t c = c0; c < c1; c++) {
                    double v = identity(f);
                    Sum sum;
                    for (int64_t chunk = 0; chunk < chunks(); chunk++) {
                        const double* part = &partials[k][size_t(chunk) * 2 * size_t(cols)];
                        if (f != SM_AGG_SUM) v = pick(f, v, part[c]);
                        else sum.add(part[c]), sum.rest += std::isfinite(part[c]) ? part[cols + c] : 0;
                    }
                    if (f == SM_AGG_SUM) v = sum.result();
                    else if (drops) v = with_zeros(f, v, seen[size_t(c)] < rows);
                    values(r.get())[c] = v;
                }
            });
            *matrix_result = r.take();
        }
    }
    for (Matrix& m : in) m = Matrix();  // a reused buffer now belongs to the result alone
    for (int k = 0; k < kernel->n_out; k++) {
        if (kernel->out_kind[k] != SM_OUT_MAP) continue;
        if (!drops) out[k]->nnz = -1;
        *static_cast<sm_matrix**>(results[k]) = drops ? finish(ctx, std::move(out[k])).take() : out[k].take();
    }
}

}  // namespace

void launch_cell(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consumed, void** results) {
    Launch l;
    l.ctx = ctx;
    l.kernel = kernel;
    l.args = args;
    l.consumed = consumed;
    l.results = results;
    l.find_shape();
    l.choose_form();
    l.cut();
    if (l.rows > 0 && l.cols > 0) {
        l.choose_variant();
        l.bind_inputs();
        l.allocate();
        l.run();
    } else {
        l.starts.assign(1, 0);
        l.allocate();
    }
    l.combine();
    for (int i = 0; i < kernel->n_in; i++)
        if ((l.consumed >> i & 1) && l.is_matrix(i)) release(&args[i].v.matrix->o);
}

}  // namespace sm

SM_API void sm_launch_cell(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consume_mask, void** results) {
    sm::entry(ctx, kernel->name ? kernel->name : "cell", [&] { sm::launch_cell(ctx, kernel, args, consume_mask, results); });
}
