// Options of read() and write(), and the .mtd file.
#include "io_mtd.h"

#include "io_number.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <strings.h>

namespace sm::io {
namespace {

constexpr int64_t kMaxMtd = 64 << 20;
const char* const kFormats[] = {"text", "csv", "mm", "binary"};
const char* const kDataTypes[] = {"matrix", "scalar", "frame"};
const char* const kValueTypes[] = {"double", "int", "boolean", "string"};
const char* const kReadKeys[] = {"data_type", "value_type", "format", "rows", "cols", "nnz", "header", "sep", "fill",
                                 "default", "na.strings", "rows_in_block", "cols_in_block", "schema", "description",
                                 "author", "created", "sparse", "privacy"};
const char* const kWriteKeys[] = {"format", "header", "sep", "sparse", "rows_in_block", "cols_in_block", "description",
                                  "data_type", "value_type", "rows", "cols", "nnz", "author", "created"};
// Settings that say nothing about the contents: call and file may differ.
const char* const kRemarks[] = {"description", "author", "created", "sparse", "privacy", "rows_in_block", "cols_in_block"};

template <size_t N>
bool one_of(const char* const (&names)[N], std::string_view key) {
    return std::find(std::begin(names), std::end(names), key) != std::end(names);
}

bool numeric(const std::string& key) { return key == "rows" || key == "cols" || key == "nnz" || key == "default"; }
bool logical(const std::string& key) { return key == "header" || key == "fill" || key == "sparse"; }

// One spelling for equal values, so that they can be compared.
std::string normal(const std::string& key, const std::string& value, const std::string& by) {
    if (numeric(key)) {
        double x;
        require(parse_cell(value.data(), value.data() + value.size(), &x), "%s: %s must be a number, not %s", by.c_str(), key.c_str(),
                quoted(value).c_str());
        if (key != "default")
            require(x == std::floor(x) && x >= -1 && x < 9.2e18, "%s: %s=%s is not a possible size", by.c_str(), key.c_str(), value.c_str());
        return to_text(x);
    }
    if (logical(key)) {
        std::string v = lower(value);
        require(v == "true" || v == "false" || v == "1" || v == "0", "%s: %s must be TRUE or FALSE, not %s", by.c_str(), key.c_str(),
                quoted(value).c_str());
        return v == "true" || v == "1" ? "true" : "false";
    }
    return key == "format" || key == "data_type" || key == "value_type" ? lower(value) : value;
}

template <size_t N>
int choice(const char* const (&names)[N], const Settings& all, const char* key, int otherwise, const std::string& by) {
    auto found = all.find(key);
    if (found == all.end()) return otherwise;
    std::string value = lower(found->second), known;
    for (size_t i = 0; i < N; i++) {
        if (value == names[i]) return static_cast<int>(i);
        known += std::string(i ? ", " : "") + names[i];
    }
    fail("%s: %s=%s is not supported (it can be %s)", by.c_str(), key, quoted(found->second).c_str(), known.c_str());
}

int64_t size_of(const Settings& all, const char* key) {
    auto found = all.find(key);
    return found == all.end() ? -1 : static_cast<int64_t>(std::strtod(found->second.c_str(), nullptr));
}

bool flag(const Settings& all, const char* key, bool otherwise) {
    auto found = all.find(key);
    return found == all.end() ? otherwise : found->second == "true";
}

Settings parse_mtd(const std::string& file) {
    Json root = parse_json(read_file(file, kMaxMtd), file);
    require(root.kind == Json::Object, "%s: expected a JSON object", file.c_str());
    Settings all;
    for (auto& [key, value] : root.members) {
        std::string text = value.text;
        require((value.kind != Json::Array && value.kind != Json::Object) || !(numeric(key) || logical(key)), "%s: %s must be a single value",
                file.c_str(), key.c_str());
        if (value.kind == Json::Array)
            for (const Json& item : value.items) text += (text.empty() ? "" : "\u00B7") + item.text;
        if (value.kind != Json::Null && value.kind != Json::Object) all[key] = normal(key, text, file);
    }
    return all;
}

void check_separator(const std::string& sep, const std::string& by) {
    require(!sep.empty() && sep.find_first_of("\r\n\"") == std::string::npos && sep.find('\0') == std::string::npos,
            "%s: %s cannot separate cells", by.c_str(), quoted(sep).c_str());
}

std::string now() {
    time_t t = time(nullptr);
    tm parts;
    localtime_r(&t, &parts);
    char text[64];
    return std::string(text, strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &parts));
}

std::string object(const std::vector<std::pair<const char*, std::string>>& members) {
    std::string out = "{\n";
    for (size_t i = 0; i < members.size(); i++)
        out += "    " + json_text(members[i].first) + ": " + members[i].second + (i + 1 < members.size() ? ",\n" : "\n");
    return out + "}\n";
}

void add_remarks(std::vector<std::pair<const char*, std::string>>& members, const WriteOptions& options) {
    const char* user = std::getenv("USER");
    if (!user || !*user || !valid_utf8(user)) user = "unknown";
    if (!options.description.empty()) members.emplace_back("description", json_text(options.description));
    members.emplace_back("author", json_text(user));
    members.emplace_back("created", json_text(now()));
}

}  // namespace

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return text;
}

const char* format_name(int format) { return kFormats[format]; }

Settings parse_options(const char* options) {
    Settings all;
    std::string key, value, *into = &key;
    for (const char* p = options ? options : ""; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            *into += *p == 'n' ? '\n' : *p;
        } else if (*p == '=' && into == &key) {
            into = &value;
        } else if (*p == '\n') {
            if (!key.empty()) all[key] = value;
            key.clear(), value.clear();
            into = &key;
        } else {
            *into += *p;
        }
    }
    if (!key.empty()) all[key] = value;
    return all;
}

ReadOptions read_options(const std::string& path, const char* options) {
    std::string call = "read(" + quoted(path) + ")", file = mtd_path(path);
    Settings all;
    for (auto& [key, value] : parse_options(options)) {
        require(one_of(kReadKeys, key), "%s: unknown parameter %s", call.c_str(), quoted(key).c_str());
        all[key] = normal(key, value, call);
    }
    ReadOptions result;
    result.sizes_by = "the call";
    if (file_exists(file)) {
        Settings stated = parse_mtd(file);
        if (stated.count("rows") || stated.count("cols") || stated.count("nnz")) result.sizes_by = file;
        for (auto& [key, value] : stated) {
            auto [mine, added] = all.emplace(key, value);
            bool unknown_size = numeric(key) && key != "default" && (mine->second == "-1.0" || value == "-1.0");
            if (unknown_size && mine->second == "-1.0") mine->second = value;
            require(added || unknown_size || mine->second == value || one_of(kRemarks, key), "%s: %s=%s in the call, but %s in %s", call.c_str(),
                    key.c_str(), quoted(mine->second).c_str(), quoted(value).c_str(), quoted(file).c_str());
        }
    }
    std::string by = file_exists(file) ? call + " with " + quoted(file) : call;
    result.data_type = choice(kDataTypes, all, "data_type", SM_DATA_MATRIX, by);
    result.value_type = choice(kValueTypes, all, "value_type", result.data_type == SM_DATA_FRAME ? SM_VALUE_STRING : SM_VALUE_DOUBLE, by);
    result.format = choice(kFormats, all, "format", -1, by);
    result.rows = size_of(all, "rows"), result.cols = size_of(all, "cols"), result.nnz = size_of(all, "nnz");
    result.header = flag(all, "header", false), result.fill = flag(all, "fill", true);
    if (auto sep = all.find("sep"); sep != all.end()) result.sep = sep->second;
    check_separator(result.sep, by);
    if (auto value = all.find("default"); value != all.end()) parse_cell(value->second.data(), value->second.data() + value->second.size(), &result.missing);
    if (auto names = all.find("na.strings"); names != all.end())
        for (size_t at = 0, end; at <= names->second.size(); at = end + 2) {
            end = std::min(names->second.find("\u00B7", at), names->second.size());
            if (end > at) result.na_strings.push_back(names->second.substr(at, end - at));
        }
    return result;
}

int guess_format(const Source& source) {
    std::string head = source.head(4096), path = source.path();
    if (head.substr(0, 8) == std::string("\x89SMB\r\n\x1A\n", 8)) return SM_FILE_BINARY;
    if (strncasecmp(head.c_str(), "%%MatrixMarket", 14) == 0) return SM_FILE_MM;
    size_t dot = path.rfind('.');
    std::string extension = dot == std::string::npos ? "" : lower(path.substr(dot + 1));
    if (extension == "csv") return SM_FILE_CSV;
    if (extension == "mtx" || extension == "mm") return SM_FILE_MM;
    std::string line = head.substr(0, head.find('\n'));
    return line.find(',') != std::string::npos ? SM_FILE_CSV : SM_FILE_TEXT;
}

WriteOptions write_options(const std::string& path, const char* options) {
    std::string call = "write(" + quoted(path) + ")";
    Settings all;
    for (auto& [key, value] : parse_options(options)) {
        require(one_of(kWriteKeys, key), "%s: unknown parameter %s", call.c_str(), quoted(key).c_str());
        all[key] = normal(key, value, call);
    }
    WriteOptions result;
    result.format = choice(kFormats, all, "format", SM_FILE_TEXT, call);
    result.header = flag(all, "header", false), result.sparse = flag(all, "sparse", false);
    if (auto sep = all.find("sep"); sep != all.end()) result.sep = sep->second;
    check_separator(result.sep, call);
    if (auto text = all.find("description"); text != all.end()) result.description = text->second;
    return result;
}

std::string matrix_mtd(const sm_matrix* m, const WriteOptions& options) {
    std::vector<std::pair<const char*, std::string>> members = {{"data_type", "\"matrix\""},
                                                                {"value_type", "\"double\""},
                                                                {"rows", to_text(m->rows)},
                                                                {"cols", to_text(m->cols)},
                                                                {"nnz", to_text(m->nnz)},
                                                                {"format", json_text(format_name(options.format))}};
    if (options.format == SM_FILE_CSV) {
        members.emplace_back("header", options.header ? "true" : "false");
        members.emplace_back("sep", json_text(options.sep));
    }
    add_remarks(members, options);
    return object(members);
}

std::string scalar_mtd(int value_type, const WriteOptions& options) {
    std::vector<std::pair<const char*, std::string>> members = {
        {"data_type", "\"scalar\""}, {"value_type", json_text(kValueTypes[value_type])}, {"format", "\"text\""}};
    add_remarks(members, options);
    return object(members);
}

}  // namespace sm::io
