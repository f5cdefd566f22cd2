// What is known about a file before it is read: the arguments of the call and the .mtd file beside it.
#pragma once

#include "io.h"
#include "io_file.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sm::io {

// A JSON value. Numbers keep their text.
struct Json {
    enum Kind { Null, Bool, Number, Text, Array, Object } kind = Null;
    std::string text;
    std::vector<Json> items;
    std::vector<std::pair<std::string, Json>> members;
};
Json parse_json(std::string_view text, const std::string& file);  // errors name file:line:column
std::string json_text(std::string_view text);                      // quoted and escaped

using Settings = std::map<std::string, std::string, std::less<>>;
Settings parse_options(const char* options);  // the arguments of a call

struct ReadOptions {
    int data_type = SM_DATA_MATRIX, value_type = SM_VALUE_DOUBLE;
    int format = -1;  // SM_FILE_*; -1: not stated
    int64_t rows = -1, cols = -1, nnz = -1;
    bool header = false, fill = true;
    std::string sep = ",";
    double missing = 0;                    // `default`: the value of an empty cell
    std::vector<std::string> na_strings;   // cells that are read as NaN
    std::string sizes_by;                  // who said rows and cols, for messages: the .mtd file, or "the call"
};
// Call and .mtd merged; where both speak they must agree.
ReadOptions read_options(const std::string& path, const char* options);
// The format when nobody stated it: from the first bytes, the file's extension, the first line.
int guess_format(const Source& source);

struct WriteOptions {
    int format = SM_FILE_TEXT;
    bool header = false, sparse = false;
    std::string sep = ",", description;
};
WriteOptions write_options(const std::string& path, const char* options);

std::string lower(std::string text);  // ASCII letters only
const char* format_name(int format);
std::string matrix_mtd(const sm_matrix* m, const WriteOptions& options);
std::string scalar_mtd(int value_type, const WriteOptions& options);
inline std::string mtd_path(const std::string& path) {
    size_t n = path.size();
    while (n > 1 && path[n - 1] == '/') n--;
    return path.substr(0, n) + ".mtd";
}

}  // namespace sm::io
