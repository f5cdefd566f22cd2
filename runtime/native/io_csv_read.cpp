// CSV to matrix. A first pass counts the lines of every chunk, so that the second one can parse all chunks at
// once, straight into the rows of the result. Few nonzeros in a sample: the chunks are collected as CSR pieces
// instead and the dense matrix never exists.
#include "io_formats.h"
#include "io_number.h"

#include <algorithm>
#include <cstring>

namespace sm::io {
namespace {

constexpr double kSparseSample = 0.3;  // below this share of nonzeros in the sample, collect CSR
constexpr int64_t kSampleBytes = 32768;

bool line_end(const char* p) { return *p == '\n' || (*p == '\r' && p[1] == '\n'); }
bool blank(char c) { return c == ' ' || c == '\t'; }

struct DenseSink {
    double* out;
    int64_t nnz = 0;
    void cell(int64_t, double v) {
        *out++ = v;
        nnz += v != 0;
    }
    void end_row() {}
};

struct SparseSink {
    std::vector<double> values;
    std::vector<int32_t> cols;
    std::vector<int64_t> row_ends;
    void cell(int64_t c, double v) {
        if (v == 0) return;
        values.push_back(v);
        cols.push_back(static_cast<int32_t>(c));
    }
    void end_row() { row_ends.push_back(static_cast<int64_t>(values.size())); }
};

class Csv {
public:
    Csv(const Source& source, const ReadOptions& options) : source_(source), options_(options), sep_(options.sep) {
        // Where a number may not be what it seems, only whole cells are looked at.
        simple_ = options.na_strings.empty() && sep_.size() == 1 && !std::strchr("+-.0123456789eE", sep_[0]);
        if (options.header) skip_header();
        chunks_ = chunks(source, first_);
        cols_ = options.cols;
        Buffer buffer;
        for (size_t i = 0; i < chunks_.size() && cols_ < 0; i++) {
            Lines lines = text(chunks_[i], buffer);
            while (lines.begin < lines.end && line_end(lines.begin)) lines.begin += *lines.begin == '\r' ? 2 : 1;
            if (lines.begin < lines.end) cols_ = fields(lines.begin);
        }
    }
    int64_t cols() const { return cols_; }
    Matrix read(sm_ctx* ctx);

private:
    void skip_header();
    void count(sm_ctx* ctx);
    int64_t trailing_empty() const;
    Lines text(const Chunk& chunk, Buffer& buffer) const {
        Lines lines = load_lines(source_, chunk, buffer);
        if (chunk.begin == 0 && lines.end - lines.begin >= 3 && std::memcmp(lines.begin, "\xEF\xBB\xBF", 3) == 0) lines.begin += 3;
        return lines;
    }
    bool at_separator(const char* p) const { return *p == sep_[0] && std::memcmp(p, sep_.data(), sep_.size()) == 0; }
    const char* cell_end(const char* p) const;
    int64_t fields(const char* p) const;
    const char* slow_cell(const char* p, int64_t col, const Place& place, double* value) const;
    template <class Sink>
    void parse(size_t chunk, Buffer& buffer, Sink& sink, int64_t most_rows = INT64_MAX) const;
    bool sample_is_sparse() const;
    Matrix read_dense(sm_ctx* ctx);
    Matrix read_sparse(sm_ctx* ctx);

    const Source& source_;
    const ReadOptions& options_;
    const std::string sep_;
    bool simple_;
    int64_t cols_, rows_ = 0, first_ = 0;
    std::vector<Chunk> chunks_;
    std::vector<int64_t> row_, line_;  // first row of each chunk (one more at the end), first line of it
};

void Csv::skip_header() {
    Buffer buffer;
    Lines line = load_lines(source_, {0, 0, 1}, buffer);
    first_ = std::min(line.end - line.begin, source_.parts()[0].size);
}

// The end of the cell at p: a separator or the line end. Quotes protect separators.
const char* Csv::cell_end(const char* p) const {
    const char* start = p;
    while (blank(*p) && !at_separator(p)) p++;
    if (*p == '"') {
        for (p++; *p != '\n'; p++) {
            if (*p != '"') continue;
            if (p[1] != '"') break;
            p++;
        }
        if (*p == '\n') p = start;  // never closed: an ordinary character then
    }
    while (*p != '\n' && !at_separator(p)) p++;
    return p;
}

int64_t Csv::fields(const char* p) const {
    int64_t n = 1;
    for (p = cell_end(p); *p != '\n'; p = cell_end(p + sep_.size())) n++;
    return n;
}

const char* Csv::slow_cell(const char* p, int64_t col, const Place& place, double* value) const {
    const char *end = cell_end(p), *last = end;
    while (last > p && (blank(last[-1]) || last[-1] == '\r')) last--;
    while (p < last && blank(*p)) p++;
    std::string_view cell(p, static_cast<size_t>(last - p));
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = cell.substr(1, cell.size() - 2);
    if (cell.empty()) {
        if (!options_.fill) fail_at(place, format("column %lld: missing value, and fill=FALSE", static_cast<long long>(col + 1)));
        *value = options_.missing;
    } else if (std::find(options_.na_strings.begin(), options_.na_strings.end(), cell) != options_.na_strings.end()) {
        *value = __builtin_nan("");
    } else if (!parse_cell(cell.data(), cell.data() + cell.size(), value)) {
        fail_at(place, format("column %lld: expected a number, found %s", static_cast<long long>(col + 1), quoted(cell).c_str()));
    }
    return end;
}

template <class Sink>
void Csv::parse(size_t index, Buffer& buffer, Sink& sink, int64_t most_rows) const {
    const Chunk& chunk = chunks_[index];
    Lines lines = text(chunk, buffer);
    const std::string& file = source_.parts()[static_cast<size_t>(chunk.part)].path;
    int64_t line = line_[index], left = std::min(row_[index + 1], rows_) - std::min(row_[index], rows_);
    const int64_t last = cols_ - 1;
    const char sep = sep_[0];
    const bool simple = simple_;
    for (const char* p = lines.begin; p < lines.end; line++) {
        if (line_end(p) && (cols_ != 1 || left == 0)) {
            p += *p == '\r' ? 2 : 1;
            continue;
        }
        if (most_rows-- == 0) return;
        if (left-- == 0) fail("%s changed while it was read", quoted(file).c_str());
        const char* start = p;
        for (int64_t c = 0;; c++) {
            double v;
            const char* q = simple ? parse_decimal(p, &v) : nullptr;
            if (__builtin_expect(q && c < last && *q == sep, 1)) {
                sink.cell(c, v);
                p = q + 1;
                continue;
            }
            if (!q || !line_end(q)) {
                Place place{file, line};
                q = slow_cell(p, c, place, &v);
                if ((c < last) == (*q == '\n'))
                    fail_at(place, format("expected %lld columns, found %lld", static_cast<long long>(cols_), static_cast<long long>(fields(start))));
                if (c < last) {
                    sink.cell(c, v);
                    p = q + sep_.size();
                    continue;
                }
            } else if (c < last) {
                fail_at({file, line}, format("expected %lld columns, found %lld", static_cast<long long>(cols_), static_cast<long long>(c + 1)));
            }
            sink.cell(c, v);
            p = q + (*q == '\r' ? 2 : 1);
            break;
        }
        sink.end_row();
    }
    if (left != 0) fail("%s changed while it was read", quoted(file).c_str());
}

// Empty lines at the end of the last file that has any text.
int64_t Csv::trailing_empty() const {
    int64_t newlines = 0;
    for (size_t i = source_.parts().size(); i-- > 0;) {
        int64_t stop = i ? 0 : first_;
        for (int64_t end = source_.parts()[i].size; end > stop;) {
            char block[4096];
            int64_t n = std::min<int64_t>(sizeof block, end - stop);
            n = source_.read(static_cast<int64_t>(i), end - n, block, n);
            if (n <= 0) break;
            for (int64_t k = n; k-- > 0;) {
                if (block[k] == '\n')
                    newlines++;
                else if (block[k] != '\r')
                    return std::max<int64_t>(0, newlines - 1);
            }
            end -= n;
        }
        if (source_.parts()[i].size > stop) return newlines;
    }
    return newlines;
}

void Csv::count(sm_ctx* ctx) {
    std::vector<LineCount> counts(chunks_.size());
    in_order(ctx, static_cast<int64_t>(chunks_.size()), [&](int64_t i, Buffer& buffer) {
        counts[static_cast<size_t>(i)] = count_lines(source_, chunks_[static_cast<size_t>(i)], buffer);
    });
    int64_t line = 0;
    row_.push_back(0);
    for (size_t i = 0; i < chunks_.size(); i++) {
        if (i == 0 || chunks_[i].part != chunks_[i - 1].part) line = i == 0 && first_ ? 2 : 1;
        line_.push_back(line);
        line += counts[i].lines;
        row_.push_back(row_.back() + counts[i].lines - (cols_ != 1 ? counts[i].empty : 0));
    }
    rows_ = row_.back();
    if (cols_ == 1) {  // an empty line is an empty cell, except at the end
        int64_t fewest = rows_ - trailing_empty();
        rows_ = options_.rows >= fewest && options_.rows <= rows_ ? options_.rows : fewest;
    }
}

bool Csv::sample_is_sparse() const {
    Buffer buffer;
    int64_t nnz = 0, rows = 0, sampled = 1 + kSampleBytes * rows_ / (source_.bytes() + 1);
    for (size_t i : {size_t(0), chunks_.size() / 2}) {
        SparseSink sample;
        parse(i, buffer, sample, sampled);
        nnz += static_cast<int64_t>(sample.values.size());
        rows += static_cast<int64_t>(sample.row_ends.size());
    }
    return better_csr(rows_, cols_, 0) && static_cast<double>(nnz) < kSparseSample * static_cast<double>(rows) * static_cast<double>(cols_);
}

Matrix Csv::read(sm_ctx* ctx) {
    const char* name = source_.path().c_str();
    if (cols_ < 0) {
        require(options_.rows == 0, "%s has no rows and its number of columns is not stated", name);
        cols_ = 0;
    }
    count(ctx);
    require(cols_ > 0 || rows_ == 0, "%s has rows, but cols=0 was stated", name);
    if (cols_ == 0 && options_.rows > 0) rows_ = options_.rows;  // rows without cells are no lines
    check_size(source_, options_, rows_, cols_);
    if (rows_ == 0 || cols_ == 0) return new_dense_zero(ctx, rows_, cols_);
    return finish(ctx, sample_is_sparse() ? read_sparse(ctx) : read_dense(ctx));
}

Matrix Csv::read_dense(sm_ctx* ctx) {
    Matrix result = new_dense(ctx, rows_, cols_);
    Progress progress(ctx, "reading", source_.path(), source_.bytes());
    std::atomic<int64_t> nnz{0};
    in_order(ctx, static_cast<int64_t>(chunks_.size()), [&](int64_t i, Buffer& buffer) {
        size_t k = static_cast<size_t>(i);
        DenseSink sink{row(result.get(), std::min(row_[k], rows_))};
        parse(k, buffer, sink);
        nnz += sink.nnz;
        progress.add(chunks_[k].end - chunks_[k].begin);
    });
    result->nnz = nnz;
    return result;
}

Matrix Csv::read_sparse(sm_ctx* ctx) {
    std::vector<SparseSink> pieces(chunks_.size());
    Progress progress(ctx, "reading", source_.path(), source_.bytes());
    in_order(ctx, static_cast<int64_t>(chunks_.size()), [&](int64_t i, Buffer& buffer) {
        size_t k = static_cast<size_t>(i);
        parse(k, buffer, pieces[k]);
        progress.add(chunks_[k].end - chunks_[k].begin);
    });
    std::vector<int64_t> first(1, 0);
    for (const SparseSink& piece : pieces) first.push_back(first.back() + static_cast<int64_t>(piece.values.size()));
    Matrix result = new_csr(ctx, rows_, cols_, first.back());
    parallel_for(ctx, static_cast<int64_t>(pieces.size()), [&](int64_t i) {
        size_t k = static_cast<size_t>(i);
        SparseSink piece = std::move(pieces[k]);
        std::copy(piece.values.begin(), piece.values.end(), values(result.get()) + first[k]);
        std::copy(piece.cols.begin(), piece.cols.end(), result->colidx + first[k]);
        int64_t* ends = result->rowptr + std::min(row_[k], rows_) + 1;
        for (int64_t end : piece.row_ends) *ends++ = first[k] + end;
    });
    return result;
}

}  // namespace

Matrix read_csv(sm_ctx* ctx, const Source& source, const ReadOptions& options) { return Csv(source, options).read(ctx); }

void peek_csv(const Source& source, const ReadOptions& options, sm_metadata* info) {
    int64_t cols = Csv(source, options).cols();
    if (info->cols < 0 && cols >= 0) {
        info->cols = cols;
        info->sizes = SM_SIZES_FROM_FILE;
    }
}

}  // namespace sm::io
