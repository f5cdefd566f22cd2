// Matrix Market files: coordinate and array; real, integer and pattern; general, symmetric, skew-symmetric.
#include "io_formats.h"
#include "io_number.h"

#include <algorithm>
#include <cstring>

namespace sm::io {
namespace {

struct Head {
    bool array = false, pattern = false;
    int mirror = 0;
    int64_t rows = 0, cols = 0, entries = 0;
    int64_t begin = 0, lines = 0;  // of the part before the entries
};

std::vector<std::string> words(std::string_view line) {
    std::vector<std::string> result;
    for (size_t i = 0; i < line.size();) {
        size_t end = std::min(line.find_first_of(" \t\r", i), line.size());
        if (end > i) result.emplace_back(line.substr(i, end - i));
        i = end + 1;
    }
    return result;
}

Head read_head(const Source& source) {
    const std::string& file = source.parts()[0].path;
    require(source.parts().size() == 1, "%s: a Matrix Market file cannot be a directory of several files", source.path().c_str());
    Head head;
    Buffer buffer;
    auto next = [&] {  // one line; "" at the end of the file
        if (head.begin >= source.parts()[0].size) fail_at({file, head.lines + 1}, "the Matrix Market header is incomplete");
        Lines lines = load_lines(source, {0, head.begin, head.begin + 1}, buffer);
        head.begin += lines.end - lines.begin;
        head.lines++;
        return std::string_view(lines.begin, static_cast<size_t>(lines.end - lines.begin - 1));
    };
    std::vector<std::string> banner = words(next());
    for (std::string& word : banner) word = lower(word);
    auto at = [&](size_t i) { return i < banner.size() ? banner[i] : std::string(); };
    Place first{file, 1};
    if (at(0) != "%%matrixmarket") fail_at(first, "expected %%MatrixMarket matrix coordinate|array real|integer|pattern general|symmetric|skew-symmetric");
    auto pick = [&](size_t i, std::initializer_list<const char*> known) {
        int k = 0;
        for (const char* word : known) {
            if (at(i) == word) return k;
            k++;
        }
        fail_at(first, "Matrix Market: " + quoted(at(i)) + " is not supported");
    };
    pick(1, {"matrix"});
    head.array = pick(2, {"coordinate", "array"}) == 1;
    head.pattern = pick(3, {"real", "integer", "pattern", "double"}) == 2;
    int symmetry = pick(4, {"general", "symmetric", "skew-symmetric"});
    head.mirror = symmetry == 2 ? -1 : symmetry;
    if (head.array && head.pattern) fail_at(first, "Matrix Market: an array needs values");
    std::vector<std::string> sizes;
    while (sizes.empty() || sizes[0][0] == '%') sizes = words(next());
    Place place{file, head.lines};
    if (sizes.size() != (head.array ? 2u : 3u)) fail_at(place, head.array ? "expected rows and columns" : "expected rows, columns and entries");
    int64_t* to[] = {&head.rows, &head.cols, &head.entries};
    for (size_t i = 0; i < sizes.size(); i++)
        if (!parse_int(sizes[i], *to[i]) || *to[i] < 0) fail_at(place, quoted(sizes[i]) + " is not a size");
    if (head.cols > INT32_MAX || head.rows > INT64_MAX / 16) fail_at(place, "the matrix is too large");
    if (head.mirror && head.rows != head.cols) fail_at(place, "a symmetric matrix must be square");
    return head;
}

Matrix read_array(sm_ctx* ctx, const Source& source, const Head& head) {
    const std::string& file = source.parts()[0].path;
    // Each value takes two bytes of the file: do not reserve more than it can fill.
    int64_t n = checked_cells(head.rows, head.cols);
    int64_t strict = head.mirror < 0, expected = head.mirror ? head.rows * (head.rows + 1) / 2 - strict * head.rows : n;
    require(expected / 2 <= source.bytes(), "%s ends before all %lld values", file.c_str(), static_cast<long long>(expected));
    Matrix result = new_dense_zero(ctx, head.rows, head.cols);
    int64_t i = head.mirror ? strict : 0, j = 0, seen = 0, line = head.lines + 1;
    Buffer buffer;
    for (const Chunk& chunk : chunks(source, head.begin)) {
        Lines lines = load_lines(source, chunk, buffer);
        for (const char* p = lines.begin; p < lines.end;) {
            if (*p == '\n' || *p == ' ' || *p == '\t' || *p == '\r') {
                line += *p++ == '\n';
                continue;
            }
            const char* end = p;
            while (*end != '\n' && *end != ' ' && *end != '\t' && *end != '\r') end++;
            double v;
            if (!parse_cell(p, end, &v))
                fail_at({file, line}, "expected a number, found " + quoted({p, static_cast<size_t>(end - p)}));
            if (seen++ == expected) fail_at({file, line}, format("more than the expected %lld values", static_cast<long long>(expected)));
            row(result.get(), i)[j] = v;
            if (head.mirror) row(result.get(), j)[i] = i == j ? v : head.mirror * v;
            if (++i == head.rows) {
                j++;
                i = head.mirror ? j + strict : 0;
            }
            p = end;
        }
        if (ctx->interrupt) throw Error("interrupted");
    }
    require(seen == expected, "%s has %lld values, but its header announces %lld", file.c_str(), static_cast<long long>(seen),
            static_cast<long long>(expected));
    result->nnz = -1;
    return finish(ctx, std::move(result));
}

}  // namespace

Matrix read_mm(sm_ctx* ctx, const Source& source, const ReadOptions& options) {
    Head head = read_head(source);
    check_size(source, options, head.rows, head.cols);
    if (head.array) return read_array(ctx, source, head);
    Coordinates c{head.rows, head.cols, head.pattern, head.mirror, head.begin, head.lines, '%', false};
    int64_t count;
    auto pieces = read_entries(ctx, source, c, &count);
    require(count == head.entries, "%s has %lld entries, but its header announces %lld", source.path().c_str(), static_cast<long long>(count),
            static_cast<long long>(head.entries));
    return assemble(ctx, head.rows, head.cols, pieces, Duplicates::Sum);
}

void peek_mm(const Source& source, sm_metadata* info) {
    Head head = read_head(source);
    info->rows = head.rows, info->cols = head.cols;
    if (!head.array && !head.mirror) info->nnz = head.entries;
    info->sizes = SM_SIZES_FROM_FILE;
}

}  // namespace sm::io
