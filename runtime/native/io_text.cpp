// Coordinate lists: lines `i j value`, as in the text format and in Matrix Market files.
#include "io_formats.h"
#include "io_number.h"

#include <algorithm>
#include <cstring>

namespace sm::io {

[[noreturn]] void fail_at(const Place& place, const std::string& message) {
    fail("%s:%lld: %s", place.file.c_str(), static_cast<long long>(place.line), message.c_str());
}

void check_size(const Source& source, const ReadOptions& options, int64_t rows, int64_t cols) {
    auto check = [&](const char* what, int64_t stated, int64_t found) {
        require(stated < 0 || stated == found, "%s has %lld %s, but %s says %lld", source.path().c_str(), static_cast<long long>(found), what,
                options.sizes_by.c_str(), static_cast<long long>(stated));
    };
    check("rows", options.rows, rows);
    check("columns", options.cols, cols);
}

namespace {

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

class EntryParser {
public:
    EntryParser(const Coordinates& c, const std::string& file, int64_t line) : c_(c), place_{file, line} {}

    // Returns how many lines held an entry.
    int64_t parse(const char* p, const char* end, std::vector<Entry>& out) {
        int64_t count = 0;
        for (; p < end; p++, place_.line++) {
            while (blank(*p)) p++;
            if (*p == '\n') continue;
            if (c_.comment && *p == c_.comment) {
                while (*p != '\n') p++;
                continue;
            }
            start_ = p;
            int64_t i = index(p), j = index(p);
            double v = 1;
            if (!c_.pattern) v = value(p);
            while (blank(*p)) p++;
            if (*p != '\n') bad("unexpected text after the value");
            count++;
            if (c_.zero_line && i == 0 && j == 0) continue;
            check("row", i, c_.rows);
            check("column", j, c_.cols);
            out.push_back({i - 1, static_cast<int32_t>(j - 1), v});
            if (c_.mirror && i != j) out.push_back({j - 1, static_cast<int32_t>(i - 1), c_.mirror * v});
        }
        return count;
    }

private:
    [[noreturn]] void bad(const char* what) {
        const char* end = start_;
        while (*end != '\n' && *end != '\r') end++;
        fail_at(place_, format("%s in %s", what, quoted({start_, static_cast<size_t>(end - start_)}).c_str()));
    }
    void check(const char* what, int64_t index, int64_t size) {
        if (index < 1 || index > size)
            fail_at(place_, format("%s index %lld is outside 1 .. %lld", what, static_cast<long long>(index), static_cast<long long>(size)));
    }
    int64_t index(const char*& p) {
        while (blank(*p)) p++;
        bool minus = *p == '-';
        p += minus;
        const char* digits = p;
        int64_t v = 0;
        for (; *p >= '0' && *p <= '9'; p++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v)) bad("index too large");
        if (p == digits || !(blank(*p) || *p == '\n')) bad("expected two indices and a value");
        return minus ? -v : v;
    }
    double value(const char*& p) {
        while (blank(*p)) p++;
        double v;
        const char* q = parse_decimal(p, &v);
        if (!q || !(blank(*q) || *q == '\n')) {
            for (q = p; !blank(*q) && *q != '\n';) q++;
            if (!parse_cell(p, q, &v)) bad("expected a number as value");
        }
        p = q;
        return v;
    }

    const Coordinates& c_;
    Place place_;
    const char* start_ = nullptr;
};

}  // namespace

std::vector<std::vector<Entry>> read_entries(sm_ctx* ctx, const Source& source, const Coordinates& c, int64_t* count) {
    std::vector<Chunk> all = chunks(source, c.begin);
    std::vector<std::vector<Entry>> pieces(all.size());
    Progress progress(ctx, "reading", source.path(), source.bytes());
    std::atomic<int64_t> total{0};
    auto parse = [&](size_t i, Buffer& buffer, int64_t line) {
        Lines lines = load_lines(source, all[i], buffer);
        if (all[i].begin == 0 && lines.end - lines.begin >= 3 && std::memcmp(lines.begin, "\xEF\xBB\xBF", 3) == 0) lines.begin += 3;
        total += EntryParser(c, source.parts()[static_cast<size_t>(all[i].part)].path, line).parse(lines.begin, lines.end, pieces[i]);
    };
    std::atomic<int64_t> failed{INT64_MAX};
    try {
        in_order(ctx, static_cast<int64_t>(all.size()), [&](int64_t item, Buffer& buffer) {
            try {
                parse(static_cast<size_t>(item), buffer, 0);
            } catch (const Error&) {
                for (int64_t seen = failed; item < seen && !failed.compare_exchange_weak(seen, item);) {
                }
                throw;
            }
            progress.add(all[static_cast<size_t>(item)].end - all[static_cast<size_t>(item)].begin);
        });
    } catch (const Error&) {
        if (failed == INT64_MAX) throw;
        // Lines are only counted for a message: parse the bad chunk again, knowing where it starts.
        size_t bad = static_cast<size_t>(failed.load());
        int64_t line = all[bad].part ? 1 : 1 + c.line;
        Buffer buffer;
        for (size_t i = 0; i < bad; i++)
            if (all[i].part == all[bad].part) line += count_lines(source, all[i], buffer).lines;
        pieces[bad].clear();
        parse(bad, buffer, line);
        throw;
    }
    *count = total;
    return pieces;
}

Matrix assemble(sm_ctx* ctx, int64_t rows, int64_t cols, std::vector<std::vector<Entry>>& pieces, Duplicates duplicates) {
    int64_t total = 0;
    for (auto& piece : pieces) total += static_cast<int64_t>(piece.size());
    checked_cells(rows, cols);
    if (!better_csr(rows, cols, total)) {
        Matrix dense = new_dense_zero(ctx, rows, cols);
        for (auto& piece : pieces) {
            for (const Entry& e : piece) {
                double& cell = row(dense.get(), e.row)[e.col];
                cell = duplicates == Duplicates::Sum ? cell + e.value : e.value;
            }
            std::vector<Entry>().swap(piece);
        }
        dense->nnz = -1;
        return finish(ctx, std::move(dense));
    }
    Matrix csr = new_csr(ctx, rows, cols, total);
    int64_t* ends = csr->rowptr;  // first counts, then the place of the next entry, at last the row ends
    std::fill(ends, ends + rows + 1, 0);
    for (auto& piece : pieces)
        for (const Entry& e : piece) ends[e.row + 1]++;
    for (int64_t r = 0, sum = 0; r < rows; r++) {
        int64_t n = ends[r + 1];
        ends[r + 1] = sum;
        sum += n;
    }
    for (auto& piece : pieces) {
        for (const Entry& e : piece) {
            int64_t k = ends[e.row + 1]++;
            csr->colidx[k] = e.col;
            values(csr.get())[k] = e.value;
        }
        std::vector<Entry>().swap(piece);
    }
    std::atomic<bool> repeated{false};
    parallel_rows(ctx, rows, total / rows + 1, [&](int64_t r0, int64_t r1) {
        std::vector<std::pair<int32_t, double>> sorted;
        for (int64_t r = r0; r < r1; r++) {
            int64_t begin = ends[r], end = ends[r + 1];
            int32_t* col = csr->colidx;
            double* value = values(csr.get());
            if (!std::is_sorted(col + begin, col + end)) {
                sorted.clear();
                for (int64_t k = begin; k < end; k++) sorted.emplace_back(col[k], value[k]);
                std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.first < b.first; });
                for (int64_t k = begin; k < end; k++) std::tie(col[k], value[k]) = sorted[static_cast<size_t>(k - begin)];
            }
            if (std::adjacent_find(col + begin, col + end) != col + end) repeated = true;
        }
    });
    if (repeated) {  // keep one of each; what is left over becomes explicit zeros, dropped below
        int64_t to = 0, begin = 0;
        int32_t* col = csr->colidx;
        double* value = values(csr.get());
        for (int64_t r = 0; r < rows; r++) {
            int64_t first = to, end = ends[r + 1];
            for (int64_t k = begin; k < end; k++) {
                if (to > first && col[to - 1] == col[k]) {
                    value[to - 1] = duplicates == Duplicates::Sum ? value[to - 1] + value[k] : value[k];
                } else {
                    col[to] = col[k];
                    value[to++] = value[k];
                }
            }
            begin = end;
            ends[r + 1] = to;
        }
        csr->nnz = to;
    }
    drop_zeros(ctx, csr.get());
    return finish(ctx, std::move(csr));
}

Matrix read_text(sm_ctx* ctx, const Source& source, const ReadOptions& options) {
    require(options.rows >= 0 && options.cols >= 0, "%s: rows and cols must be stated, by the call or in %s", source.path().c_str(),
            quoted(mtd_path(source.path())).c_str());
    require(options.cols <= INT32_MAX, "%s: cols=%lld is too large", source.path().c_str(), static_cast<long long>(options.cols));
    Coordinates c{options.rows, options.cols};
    c.zero_line = true;
    c.comment = '%';
    int64_t count;
    auto pieces = read_entries(ctx, source, c, &count);
    return assemble(ctx, options.rows, options.cols, pieces, Duplicates::Last);
}

namespace {

void write_entries(sm_ctx* ctx, const sm_matrix* m, OutputFile& out, std::string_view head) {
    constexpr int64_t kEntries = 32768, kLine = 3 * kNumberBytes;
    const int64_t n = is_dense(m) ? cells(m) : m->nnz, cols = m->cols;
    write_pieces(ctx, out, head, (n + kEntries - 1) / kEntries, [&](int64_t item, Buffer& buffer) {
        int64_t k = item * kEntries, end = std::min(k + kEntries, n);
        char *start = buffer.reserve((end - k) * kLine), *p = start;
        auto line = [&](int64_t i, int64_t j, double v) {
            if (v == 0) return;
            p += format_int(p, i + 1), *p++ = ' ';
            p += format_int(p, j + 1), *p++ = ' ';
            p += format_double(p, v), *p++ = '\n';
        };
        with_element(m, [&](auto type) {
            const auto* v = values<decltype(type)>(m);
            if (is_dense(m)) {
                for (int64_t i = k / cols, j = k % cols; k < end; k++) {
                    line(i, j, v[k]);
                    if (++j == cols) j = 0, i++;
                }
            } else {
                int64_t i = std::upper_bound(m->rowptr, m->rowptr + m->rows + 1, k) - m->rowptr - 1;
                for (; k < end; k++) {
                    while (k >= m->rowptr[i + 1]) i++;
                    line(i, m->colidx[k], v[k]);
                }
            }
        });
        return p - start;
    });
}

}  // namespace

void write_text(sm_ctx* ctx, const sm_matrix* m, OutputFile& out) {
    if (m->nnz == 0) return out.append("0 0 0\n");  // so that there is a line at all
    write_entries(ctx, m, out, "");
}

void write_mm(sm_ctx* ctx, const sm_matrix* m, OutputFile& out) {
    std::string head = format("%%%%MatrixMarket matrix coordinate real general\n%lld %lld %lld\n", static_cast<long long>(m->rows),
                              static_cast<long long>(m->cols), static_cast<long long>(m->nnz));
    write_entries(ctx, m, out, head);
}

}  // namespace sm::io
