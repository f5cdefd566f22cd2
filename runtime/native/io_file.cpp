// Input files and directories of part files, cut into chunks of whole lines.
#include "io_file.h"

#include "io_number.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

namespace sm::io {

constexpr size_t kHeldFiles = 256;

[[noreturn]] void fail_errno(const char* action, const std::string& path, int error) {
    char text[128];
    fail("cannot %s %s: %s", action, quoted(path).c_str(), strerror_r(error, text, sizeof text));
}

bool file_exists(const std::string& path) {
    struct stat info;
    return stat(path.c_str(), &info) == 0;
}

bool valid_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        unsigned char c = static_cast<unsigned char>(text[i++]);
        if (c < 0x80) continue;
        int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
        if (c < 0xC2 || c > 0xF4 || text.size() - i < static_cast<size_t>(more)) return false;
        unsigned char second = static_cast<unsigned char>(text[i]);
        if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) || (c == 0xF0 && second < 0x90) || (c == 0xF4 && second > 0x8F))
            return false;
        for (; more; more--)
            if ((text[i++] & 0xC0) != 0x80) return false;
    }
    return true;
}

std::string quoted(std::string_view text) {
    constexpr size_t kShown = 60;
    bool whole = valid_utf8(text), cut = text.size() > 4 * kShown;
    std::string out = "\"";
    size_t n = cut ? kShown : text.size();
    while (cut && whole && n > 0 && (text[n] & 0xC0) == 0x80) n--;
    for (char c : text.substr(0, n)) {
        unsigned char u = static_cast<unsigned char>(c);
        if (u < 0x20 || u == 0x7F || (u >= 0x80 && !whole))
            out += format("\\x%02X", u);
        else
            out += c;
    }
    return out + (cut ? "…\"" : "\"");
}

Buffer::~Buffer() { std::free(bytes_); }

char* Buffer::reserve(int64_t bytes) {
    if (bytes > capacity_) {
        int64_t capacity = std::max(bytes, capacity_ + capacity_ / 2);
        void* grown = std::realloc(bytes_, static_cast<size_t>(capacity));
        if (!grown) throw std::bad_alloc();
        bytes_ = static_cast<char*>(grown);
        capacity_ = capacity;
    }
    return bytes_;
}

File::File(const std::string& path, int flags, unsigned mode) : number_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}

File& File::operator=(File&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

int File::close() {
    int number = number_;
    number_ = -1;
    return number >= 0 ? ::close(number) : 0;
}

std::string read_file(const std::string& path, int64_t limit) {
    File file(path, O_RDONLY);
    if (!file) fail_errno("read", path, errno);
    return read_rest(file, path, limit);
}

std::string read_rest(const File& file, const std::string& path, int64_t limit) {
    std::string text;
    int error = 0;
    for (ssize_t got = 1; got && !error;) {
        size_t used = text.size();
        if (static_cast<int64_t>(used) > limit) break;
        text.resize(used + (used < 65536 ? 65536 : used));
        do got = ::read(file.number(), &text[used], text.size() - used);
        while (got < 0 && errno == EINTR);
        if (got < 0) error = errno;
        text.resize(used + static_cast<size_t>(got > 0 ? got : 0));
    }
    if (error) fail_errno("read", path, error);
    require(static_cast<int64_t>(text.size()) <= limit, "cannot read %s: it is larger than %lld bytes", quoted(path).c_str(),
            static_cast<long long>(limit));
    return text;
}

Source::Source(const std::string& path) : path_(path) {
    require(path.find('\0') == std::string::npos && !path.empty(), "read: %s is no file name", quoted(path).c_str());
    struct stat info;
    if (stat(path.c_str(), &info) != 0) fail_errno("read", path, errno);
    if (!S_ISDIR(info.st_mode)) {
        add(path, true);
        return;
    }
    DIR* folder = opendir(path.c_str());
    if (!folder) fail_errno("read", path, errno);
    std::vector<std::string> names;
    while (dirent* item = readdir(folder))
        if (item->d_name[0] != '.' && item->d_name[0] != '_') names.emplace_back(item->d_name);
    closedir(folder);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
        std::string part = path + "/" + name;
        if (stat(part.c_str(), &info) == 0 && S_ISREG(info.st_mode)) add(part, parts_.size() < kHeldFiles);
    }
    require(!parts_.empty(), "cannot read %s: the directory has no part files", quoted(path).c_str());
}

void Source::add(const std::string& path, bool hold) {
    File file(path, O_RDONLY);
    struct stat info;
    if (!file || fstat(file.number(), &info) != 0) fail_errno("read", path, errno);
    bool regular = S_ISREG(info.st_mode);
    std::string content;
    if (!regular) {  // a pipe is opened once: whoever writes to it stops when its reader closes it
        content = read_rest(file, path, INT64_MAX / 4);
        info.st_size = static_cast<off_t>(content.size());
    }
    if (!regular || !hold) file.close();
    parts_.push_back({path, info.st_size, std::move(file), std::move(content)});
    bytes_ += parts_.back().size;
}

int64_t Source::read(int64_t index, int64_t offset, char* to, int64_t n) const {
    const Part& part = parts_[static_cast<size_t>(index)];
    if (!part.content.empty()) {
        n = std::max<int64_t>(0, std::min(n, part.size - offset));
        std::memcpy(to, part.content.data() + offset, static_cast<size_t>(n));
        return n;
    }
    File opened;
    if (!part.file) opened = File(part.path, O_RDONLY);
    const File& file = part.file ? part.file : opened;
    if (!file) fail_errno("read", part.path, errno);
    int64_t total = 0;
    int error = 0;
    while (total < n) {
        ssize_t got = pread(file.number(), to + total, static_cast<size_t>(n - total), offset + total);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) error = errno;
        if (got <= 0) break;
        total += got;
    }
    if (error) fail_errno("read", part.path, error);
    return total;
}

std::string Source::head(int64_t n) const {
    for (size_t i = 0; i < parts_.size(); i++) {
        if (!parts_[i].size) continue;
        std::string text(static_cast<size_t>(std::min(n, parts_[i].size)), '\0');
        text.resize(static_cast<size_t>(read(static_cast<int64_t>(i), 0, text.data(), static_cast<int64_t>(text.size()))));
        return text;
    }
    return {};
}

std::vector<Chunk> chunks(const Source& source, int64_t first_begin) {
    std::vector<Chunk> result;
    for (size_t i = 0; i < source.parts().size(); i++)
        for (int64_t size = source.parts()[i].size, at = i ? 0 : first_begin; at < size; at += kChunk)
            result.push_back({static_cast<int64_t>(i), at, std::min(at + kChunk, size)});
    return result;
}

Lines load_lines(const Source& source, const Chunk& chunk, Buffer& buffer) {
    int64_t before = chunk.begin > 0, n = chunk.end - chunk.begin + before;
    char* text = buffer.reserve(n + kPadding + 1);
    n = source.read(chunk.part, chunk.begin - before, text, n);
    int64_t first = 0;
    if (before) {  // the line under way at the start belongs to the chunk before
        const void* newline = std::memchr(text, '\n', static_cast<size_t>(n));
        first = newline ? static_cast<const char*>(newline) - text + 1 : n;
    }
    if (first < n && text[n - 1] != '\n') {  // the last line ends in a later chunk
        for (int64_t step = 4096;; step = std::min(2 * step, kChunk)) {
            text = buffer.reserve(n + step + kPadding + 1);
            int64_t got = source.read(chunk.part, chunk.begin - before + n, text + n, step);
            const void* newline = std::memchr(text + n, '\n', static_cast<size_t>(got));
            n = newline ? static_cast<const char*>(newline) - text + 1 : n + got;
            if (newline) break;
            if (got < step) {
                text[n++] = '\n';
                break;
            }
        }
    }
    std::memset(text + n, 0, kPadding);
    return {text + std::min(first, n), text + n};
}

__attribute__((optimize("O3"))) static void count_block(const char* p, int64_t n, LineCount* count) {
    unsigned char lines = 0, empty = 0;  // one byte each, so that the loop becomes byte-wise vector code
    for (int64_t i = 0; i < n; i++) {
        unsigned char start = p[i - 1] == '\n';
        lines = static_cast<unsigned char>(lines + start);
        empty = static_cast<unsigned char>(empty + (start & ((p[i] == '\n') | ((p[i] == '\r') & (p[i + 1] == '\n')))));
    }
    count->lines += lines;
    count->empty += empty;
}

LineCount count_lines(const Source& source, const Chunk& chunk, Buffer& buffer) {
    int64_t before = chunk.begin > 0;
    char* text = buffer.reserve(chunk.end - chunk.begin + 2);
    text[0] = '\n';  // the start of a file starts a line
    int64_t n = source.read(chunk.part, chunk.begin - before, text + 1 - before, chunk.end - chunk.begin + before + 1) - before;
    if (n <= chunk.end - chunk.begin) text[n + 1] = '\0';
    n = std::min(n, chunk.end - chunk.begin);
    LineCount count{0, 0};
    for (int64_t i = 0; i < n; i += 128) count_block(text + 1 + i, std::min<int64_t>(128, n - i), &count);
    return count;
}

}  // namespace sm::io
