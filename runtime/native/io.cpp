// The entry points: which reader or writer, scalars, and the metadata compilers ask for.
#include "io.h"

#include "io_formats.h"
#include "io_number.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

namespace sm::io {
namespace {

constexpr int64_t kMaxScalar = int64_t(1) << 30;

Matrix read_matrix(sm_ctx* ctx, const std::string& path, const char* text) {
    ReadOptions options = read_options(path, text);
    std::string call = "read(" + quoted(path) + ")";
    require(options.data_type != SM_DATA_FRAME, "%s: frames are not supported", call.c_str());
    require(options.data_type == SM_DATA_MATRIX, "%s: this is a scalar, not a matrix", call.c_str());
    require(options.value_type != SM_VALUE_STRING, "%s: a matrix cannot have value_type \"string\"", call.c_str());
    Source source(path);
    auto cells = [&] {
        switch (options.format >= 0 ? options.format : guess_format(source)) {
            case SM_FILE_CSV: return read_csv(ctx, source, options);
            case SM_FILE_MM: return read_mm(ctx, source, options);
            case SM_FILE_BINARY: return read_binary(ctx, source, options);
            default: return read_text(ctx, source, options);
        }
    };
    Matrix m = cells();
    // Plans are made for the number that is stated: a wrong one would give wrong results.
    int64_t nnz = options.nnz < 0 ? -1 : count_nnz(ctx, m.get());
    require(nnz < 0 || nnz == options.nnz, "%s: %lld cells are not 0, but %s says %lld", path.c_str(), static_cast<long long>(nnz),
            options.sizes_by.c_str(), static_cast<long long>(options.nnz));
    return m;
}

// The text of a scalar, which must have the wanted type when the type is stated.
std::string read_scalar(const std::string& path, const char* text) {
    ReadOptions options = read_options(path, text);
    require(options.data_type == SM_DATA_SCALAR || !(parse_options(text).count("data_type") || file_exists(mtd_path(path))),
            "read(%s): this is no scalar", quoted(path).c_str());
    Source source(path);
    require(source.bytes() <= kMaxScalar, "read(%s): the file is too large for a scalar", quoted(path).c_str());
    std::string all;
    for (size_t i = 0; i < source.parts().size(); i++) {
        size_t used = all.size();
        all.resize(used + static_cast<size_t>(source.parts()[i].size));
        all.resize(used + static_cast<size_t>(source.read(static_cast<int64_t>(i), 0, all.data() + used, source.parts()[i].size)));
    }
    require(valid_utf8(all), "%s: not UTF-8 text", path.c_str());
    if (!all.empty() && all.back() == '\n') all.pop_back();
    if (!all.empty() && all.back() == '\r') all.pop_back();
    return all;
}

std::string trimmed(const std::string& text) {
    size_t begin = text.find_first_not_of(" \t\r\n");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

int boolean(const std::string& text) {  // -1: neither
    if (text == "TRUE" || text == "true" || text == "True" || text == "T") return 1;
    return text == "FALSE" || text == "false" || text == "False" || text == "F" ? 0 : -1;
}

double number(const std::string& path, const std::string& text) {
    double v;
    if (int b = boolean(text); b >= 0) return b;
    require(parse_cell(text.data(), text.data() + text.size(), &v), "%s: expected a number, found %s", path.c_str(), quoted(text).c_str());
    return v;
}

// The file that a path names: `file:///x` is x, and what is elsewhere cannot be reached.
std::string local(std::string_view path) {
    constexpr std::string_view kFile = "file:/";
    if (path.substr(0, kFile.size()) == kFile) {
        path.remove_prefix(kFile.size() - 1);
        size_t root = path.substr(0, 2) == "//" ? path.find('/', 2) : 0;
        return std::string(root == std::string_view::npos ? path : path.substr(root));
    }
    size_t end = path.find("://");
    auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.'; };
    bool address = end != std::string_view::npos && end > 0 && std::all_of(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(end), letter);
    if (address) fail("files at '%s' are not in this version, local ones are: %s", std::string(path.substr(0, end + 3)).c_str(), quoted(path).c_str());
    return std::string(path);
}

std::string name_of(const sm_string* path) { return local(view(path)); }

// Data and metadata appear together: both are complete before either gets its name.
template <class F>
void write_file(sm_ctx* ctx, const std::string& path, const std::string& mtd, F&& write) {
    OutputFile out(ctx, path);
    write(out);
    out.close();
    if (!out.seekable()) return;
    if (mtd.empty()) {  // a format that describes itself: remove what would contradict it
        out.commit();
        if (unlink(mtd_path(path).c_str()) != 0 && errno != ENOENT) fail_errno("remove", mtd_path(path), errno);
        return;
    }
    OutputFile beside(ctx, mtd_path(path));
    beside.append(mtd);
    beside.close();
    out.commit();
    beside.commit();
}

void write_matrix(sm_ctx* ctx, sm_matrix* m, const std::string& path, const char* text) {
    WriteOptions options = write_options(path, text);
    count_nnz(ctx, m);
    write_file(ctx, path, options.format == SM_FILE_MM ? "" : matrix_mtd(m, options), [&](OutputFile& out) {
        switch (options.format) {
            case SM_FILE_CSV: return write_csv(ctx, m, out, options);
            case SM_FILE_MM: return write_mm(ctx, m, out);
            case SM_FILE_BINARY: return write_binary(ctx, m, out);
            default: return write_text(ctx, m, out);
        }
    });
}

void write_scalar(sm_ctx* ctx, std::string_view value, int value_type, const std::string& path, const char* text) {
    WriteOptions options = write_options(path, text);
    require(options.format == SM_FILE_TEXT, "write(%s): a scalar has format \"text\", not \"%s\"", quoted(path).c_str(), format_name(options.format));
    write_file(ctx, path, scalar_mtd(value_type, options), [&](OutputFile& out) { out.append(value); });
}

void peek(const std::string& path, const char* text, sm_metadata* info) {
    *info = {-1, -1, -1, SM_DATA_MATRIX, SM_VALUE_DOUBLE, SM_FILE_TEXT, 0, 0, 0};
    ReadOptions options = read_options(path, text);
    *info = {options.rows, options.cols,     options.nnz, options.data_type, options.value_type, options.format < 0 ? SM_FILE_TEXT : options.format,
             options.rows >= 0 || options.cols >= 0 ? SM_SIZES_STATED : 0, file_exists(path), file_exists(mtd_path(path))};
    if (!info->exists) return;
    bool known = options.rows >= 0 && options.cols >= 0;
    if (options.data_type != SM_DATA_MATRIX || (known && options.format >= 0)) return;
    struct stat kind;
    if (stat(path.c_str(), &kind) == 0 && !S_ISREG(kind.st_mode) && !S_ISDIR(kind.st_mode)) return;  // a pipe can be read only once
    Source source(path);
    if (options.format < 0) info->format = guess_format(source);
    if (known) return;
    if (info->format == SM_FILE_CSV) peek_csv(source, options, info);
    if (info->format == SM_FILE_MM) peek_mm(source, info);
    if (info->format == SM_FILE_BINARY) peek_binary(source, info);
}

}  // namespace
}  // namespace sm::io

using namespace sm::io;

SM_API sm_matrix* sm_read_matrix(sm_ctx* ctx, sm_string* path, sm_string* options, const char* elem) {
    return SM_ENTRY(ctx, {
        sm::Matrix m = read_matrix(ctx, name_of(path), options->text);
        return sm::rounded(ctx, m.get(), sm::element_named(elem)).take();
    });
}

SM_API double sm_read_f64(sm_ctx* ctx, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { return number(name_of(path), trimmed(read_scalar(name_of(path), options->text))); });
}

SM_API int64_t sm_read_i64(sm_ctx* ctx, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, {
        std::string text = trimmed(read_scalar(name_of(path), options->text));
        int64_t exact;
        if (sm::parse_int(text, exact)) return exact;
        double v = number(name_of(path), text);
        sm::require(std::fabs(v) < 9.2e18, "%s: %s is no integer", name_of(path).c_str(), sm::to_text(v).c_str());
        return static_cast<int64_t>(v);
    });
}

SM_API int32_t sm_read_i1(sm_ctx* ctx, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, {
        std::string text = trimmed(read_scalar(name_of(path), options->text));
        double v = 0;
        int b = boolean(text);
        if (b < 0 && parse_cell(text.data(), text.data() + text.size(), &v)) b = v != 0;
        sm::require(b >= 0, "%s: expected TRUE or FALSE, found %s", name_of(path).c_str(), quoted(text).c_str());
        return static_cast<int32_t>(b);
    });
}

SM_API sm_string* sm_read_str(sm_ctx* ctx, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, {
        return sm::new_string(ctx, read_scalar(name_of(path), options->text)).take();
    });
}

SM_API void sm_write_matrix(sm_ctx* ctx, sm_matrix* value, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { write_matrix(ctx, value, name_of(path), options->text); });
}

SM_API void sm_write_f64(sm_ctx* ctx, double value, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { write_scalar(ctx, sm::to_text(value), SM_VALUE_DOUBLE, name_of(path), options->text); });
}

SM_API void sm_write_i64(sm_ctx* ctx, int64_t value, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { write_scalar(ctx, sm::to_text(value), SM_VALUE_INT, name_of(path), options->text); });
}

SM_API void sm_write_i1(sm_ctx* ctx, int32_t value, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { write_scalar(ctx, value ? "true" : "false", SM_VALUE_BOOLEAN, name_of(path), options->text); });
}

SM_API void sm_write_str(sm_ctx* ctx, sm_string* value, sm_string* path, sm_string* options) {
    return SM_ENTRY(ctx, { write_scalar(ctx, sm::view(value), SM_VALUE_STRING, name_of(path), options->text); });
}

SM_API int32_t sm_read_metadata(const char* path, const char* options, sm_metadata* out, char* error, int64_t error_size) {
    try {
        peek(local(path), options, out);
        return 0;
    } catch (const std::exception& e) {
        if (error && error_size > 0) std::snprintf(error, static_cast<size_t>(error_size), "%s", e.what());
        return 1;
    }
}
