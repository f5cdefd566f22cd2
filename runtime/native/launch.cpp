// Launching cell kernels: shapes, formats, variants, chunks, and the combination of partial aggregates.
// Everything that decides an order of operations depends on sizes and data only, never on the threads.
#include "launch.h"

#include "fit.h"

#include <string.h>

#include <algorithm>

namespace sm {

constexpr int64_t kSerial = 32768;  // cells below which one chunk does it all

// Kernels are called cell_<operations>_<kinds of output>_<hash>.
std::string kernel_title(const char* name) {
    std::string s = name ? name : "cell";
    size_t hash = s.rfind('_');
    if (s.compare(0, 5, "cell_") != 0 || hash < 6 || s.size() - hash < 9) return s;
    if (s.find_first_not_of("0123456789abcdef", hash + 1) != std::string::npos) return s;
    return s.substr(5, hash - 5);
}

// The operations of a kernel as the language writes them; "" when the name does not tell.
static std::string operations(const char* name) {
    std::string title = kernel_title(name);
    return title == "cell" ? "" : title == name ? title : as_written(title);
}

void Launch::shape_mismatch() {
    std::vector<Shape> shapes;
    for (int i = 0; i < kernel->n_in; i++)
        if (is_matrix(i)) shapes.push_back(shape_of(args[i].v.matrix));
    cells_misfit(operations(kernel->name), shapes.data(), int64_t(shapes.size()));
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
    bool outer = widest >= 0 && tallest >= 0 && (kernel->traits & SM_CELL_OUTER);
    if (!some_full && !outer) shape_mismatch();
    const uint32_t* leads = static_cast<const uint32_t*>(kernel->cookie);
    for (int i = 0; leads && i < kernel->n_in; i++) {
        if (!leads[i] || full(i)) continue;
        for (int j = 0; j < kernel->n_in; j++)
            if ((leads[i] >> j & 1) && full(j)) shape_mismatch();
    }
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

const double* Launch::scalar_cell(int i, double v) {
    scalar[i] = v;
    scalar_single[i] = static_cast<float>(v);
    return elem() == SM_F32 ? reinterpret_cast<const double*>(&scalar_single[i]) : &scalar[i];
}

// The CSR inputs with the fewest entries of which it is known what their zeros make of the results: one, or several together.
void Launch::choose_leaders() {
    int64_t fewest = INT64_MAX;
    auto consider = [&](uint32_t inputs, uint32_t needs, bool probe) {
        int64_t entries = 0;
        for (int i = 0; i < kernel->n_in; i++) {
            if (!(inputs >> i & 1)) continue;
            if (!is_matrix(i) || !full(i) || !is_csr(args[i].v.matrix)) return;
            entries += args[i].v.matrix->nnz;
        }
        AtZero found;
        if (entries >= fewest || (probe && !find_zeros(inputs, needs, found))) return;
        fewest = entries;
        at_zero = std::move(found);
        leaders.clear();
        for (int i = 0; i < kernel->n_in; i++)
            if (inputs >> i & 1) leaders.push_back(i);
    };
    for (int i = 0; i < kernel->n_in; i++) {
        bool safe = kernel->sparse_safe >> i & 1;
        if (safe || (kernel->sparse_probe >> i & 1)) consider(1u << i, kernel->probe_needs ? kernel->probe_needs[i] : 0, !safe);
    }
    for (int64_t k = 0; k < kernel->n_joint; k++) {
        const uint32_t* pair = kernel->joint + 2 * k;
        consider(pair[0], pair[1] & ~SM_JOINT_PROBE, pair[1] & SM_JOINT_PROBE);
    }
}

// One CSR input drives a variant for that; several are merged. Where none leads, they are written out piece by piece.
void Launch::choose_form() {
    choose_leaders();
    if (!leaders.empty()) driver = leaders[0];
    merges = leaders.size() > 1;
    for (int i = 0; i < kernel->n_in && driver >= 0; i++) merges = merges || (i != driver && is_matrix(i) && full(i) && is_csr(args[i].v.matrix));
    if (driver >= 0 && !merges) {
        form = SM_FORM_CSR0 + driver;
        merges = !variant_exists(vector_bits() | uint32_t(form) << 16);
    }
    if (merges) form = SM_FORM_DENSE;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!is_matrix(i)) continue;
        sm_matrix* m = args[i].v.matrix;
        bool lined_up = driver >= 0 && full(i);
        spread[i] = !lined_up && is_csr(m) && full(i) && rows > 1;
        spreads = spreads || spread[i];
        in[i] = lined_up || spread[i] ? Matrix::borrow(m) : to_dense(ctx, m);
    }
    flat = driver < 0 && !has_kind(SM_OUT_ROW) && !has_kind(SM_OUT_COL);
    for (int i = 0; i < kernel->n_in && flat; i++)
        if (is_matrix(i) && !full(i) && cells(args[i].v.matrix) != 1) flat = false;
}

static sm_cell_fn compile(sm_ctx* ctx, const sm_cell_kernel* kernel, uint32_t key) {
    if (!ctx->resolve) return nullptr;
    OpTimer timer(ctx, "compile kernels");
    return ctx->resolve(ctx, kernel, key);
}

sm_cell_fn variant(sm_ctx* ctx, const sm_cell_kernel* kernel, uint32_t key) {
    for (int i = 0; i < kernel->n_variants; i++)
        if (kernel->variant_keys[i] == key) {
            if (!kernel->variants[i]) kernel->variants[i] = compile(ctx, kernel, key);
            return kernel->variants[i];
        }
    auto& known = context(ctx)->variants;
    for (const Context::Variant& v : known)
        if (v.kernel == kernel && v.key == key) return v.fn;
    sm_cell_fn fn = compile(ctx, kernel, key);
    if (fn) known.push_back({kernel, key, fn});
    return fn;
}

// Where no variant fits, broadcast operands are written out in full for one that reads more of them as vectors.
void Launch::choose_variant() {
    key = vector_bits() | uint32_t(form) << 16;
    fn = variant(ctx, kernel, key);
    if (fn) return;
    for (int v = 0; v < kernel->n_variants && !fn; v++) {
        uint32_t other = kernel->variant_keys[v];
        if (other >> 16 == key >> 16 && (other & key & 0xffff) == (key & 0xffff)) {
            fn = variant(ctx, kernel, other);
            if (fn) key = other;
        }
    }
    if (!fn) fail("%s: no native code for operands of these shapes and formats", operations(kernel->name).c_str());
    for (int i = 0; i < kernel->n_in && !merges; i++) {
        if (!(key >> i & 1) || (vector_bits() >> i & 1)) continue;
        Matrix source = in[i];
        double s = is_matrix(i) ? 0 : args[i].v.f64;
        Matrix wide = new_dense(ctx, rows, cols, elem());
        with_element(elem(), [&](auto type) {
            using T = decltype(type);
            for (int64_t r = 0; r < rows; r++) {
                T v = !source ? static_cast<T>(s) : values<T>(source.get())[source->rows == 1 ? 0 : r];
                std::fill(row<T>(wide.get(), r), row<T>(wide.get(), r) + cols, v);
            }
        });
        in[i] = wide;
    }
}

void Launch::bind_inputs() {
    call.flags = 0;
    call.rowptr = nullptr;
    call.colidx = nullptr;
    for (int i = 0; i < kernel->n_in; i++) {
        if (!in[i]) {
            call.in[i] = scalar_cell(i, args[i].v.f64);
            call.in_rs[i] = 0;
            continue;
        }
        const sm_matrix* m = in[i].get();
        call.in[i] = static_cast<const double*>(m->data);
        bool csr = is_csr(m);
        call.in_rs[i] = csr || m->rows == 1 || flat ? 0 : m->cols;
        if (spread[i]) {
            call.in_rs[i] = flat ? 0 : m->cols;  // where it is, each piece knows
        } else if (csr) {
            call.rowptr = m->rowptr;
            call.colidx = m->colidx;
        }
    }
}

// Chunks of about 128 KiB a stream; larger ones for large matrices, so that their number stays in the hundreds.
static int64_t chunk_cells(int64_t total) {
    int64_t size = (total / 256 + 8191) / 8192 * 8192;
    return std::clamp<int64_t>(size, 16384, 131072);
}

void Launch::cut() {
    starts.reserve(2);
    starts.push_back(0);
    if (driver >= 0) {
        auto before = [&](int64_t r) {  // entries that are visited up to row r
            int64_t n = 0;
            for (int i : leaders) n += in[i]->rowptr[r];
            return n;
        };
        int64_t entries = before(rows), work = entries + rows;
        int64_t n = work <= kSerial ? 1 : work / chunk_cells(work);
        if (has_kind(SM_OUT_COL)) n = std::min<int64_t>(n, std::clamp<int64_t>(work / (4 * cols + 1), 1, 32));
        for (int64_t i = 1; i < n; i++) {  // equal shares of entries and rows
            int64_t target = entries * i / n, low = 0, r = entries < rows ? rows * i / n : rows;
            while (entries >= rows && low < r) {
                int64_t middle = (low + r) / 2;
                if (before(middle) < target) low = middle + 1;
                else r = middle;
            }
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

void Launch::run_chunk(sm_cell_args& a, int64_t chunk) {
    for (int k = 0; k < kernel->n_out; k++) {
        if (kernel->out_kind[k] == SM_OUT_FULL) a.out[k] = &partials[k][size_t(chunk) * 2];
        if (kernel->out_kind[k] == SM_OUT_COL) a.out[k] = &partials[k][size_t(chunk) * 2 * size_t(cols)];
    }
    int64_t begin = starts[size_t(chunk)], end = starts[size_t(chunk) + 1];
    if (merges) run_merged(a, chunk);
    else if (spreads) run_pieces(a, begin, end);
    else if (flat) fn(&a, 0, 1, begin, end);
    else fn(&a, begin, end, 0, cols);
}

void Launch::run() {
    if (chunks() == 1) return run_chunk(call, 0);
    parallel_for(ctx, chunks(), [&](int64_t chunk) {
        sm_cell_args a = call;
        run_chunk(a, chunk);
    });
}

static void launch_cell(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consumed, void** results) {
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
