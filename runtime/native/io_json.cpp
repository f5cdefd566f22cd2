// A strict JSON reader (RFC 8259) with positions in its messages.
#include "io_mtd.h"

#include <cstring>

namespace sm::io {
namespace {

class Parser {
public:
    Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

    Json document() {
        Json value = this->value(0);
        blanks();
        if (at_ < text_.size()) error("unexpected text after the value");
        return value;
    }

private:
    [[noreturn]] void error(const char* what) const {
        int line = 1, column = 1;
        for (size_t i = 0; i < at_ && i < text_.size(); i++) text_[i] == '\n' ? (line++, column = 1) : column++;
        fail("%s:%d:%d: %s", file_.c_str(), line, column, what);
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void blanks() {
        while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) && text_[at_]) at_++;
    }
    bool eat(char c) {
        blanks();
        if (peek() != c || at_ >= text_.size()) return false;
        at_++;
        return true;
    }
    void expect(char c, const char* what) {
        if (!eat(c)) error(what);
    }

    Json value(int depth) {
        if (depth > 64) error("nested too deeply");
        blanks();
        Json v;
        if (eat('{')) {
            v.kind = Json::Object;
            if (eat('}')) return v;
            do {
                blanks();
                if (peek() != '"') error("expected a quoted key");
                std::string key = string();
                expect(':', "expected ':'");
                v.members.emplace_back(std::move(key), value(depth + 1));
            } while (eat(','));
            expect('}', "expected ',' or '}'");
        } else if (eat('[')) {
            v.kind = Json::Array;
            if (eat(']')) return v;
            do v.items.push_back(value(depth + 1));
            while (eat(','));
            expect(']', "expected ',' or ']'");
        } else if (peek() == '"') {
            v.kind = Json::Text;
            v.text = string();
        } else if (word("true") || word("false")) {
            v.kind = Json::Bool;
            v.text = text_[at_ - 2] == 'u' ? "true" : "false";
        } else if (!word("null")) {
            v.kind = Json::Number;
            v.text = number();
        }
        return v;
    }

    bool word(const char* w) {
        if (text_.substr(at_, std::strlen(w)) != w) return false;
        at_ += std::strlen(w);
        return true;
    }

    std::string number() {
        size_t start = at_;
        while (at_ < text_.size() && text_[at_] && std::strchr("+-.eE0123456789", text_[at_])) at_++;
        std::string text(text_.substr(start, at_ - start));
        double x;
        if (!parse_double(text, x)) {
            at_ = start;
            error("expected a value");
        }
        return text;
    }

    unsigned hex4() {
        unsigned v = 0;
        for (int i = 0; i < 4; i++, at_++) {
            char c = peek();
            int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
            if (d < 0) error("expected four hexadecimal digits");
            v = v * 16 + static_cast<unsigned>(d);
        }
        return v;
    }

    std::string string() {
        std::string out;
        for (at_++; peek() != '"'; at_++) {
            if (at_ >= text_.size()) error("unterminated string");
            if (static_cast<unsigned char>(peek()) < 0x20) error("control character in a string");
            if (peek() != '\\') {
                out += peek();
                continue;
            }
            at_++;
            static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
            if (peek() == 'u') {
                at_++;
                unsigned c = hex4();
                if (c >= 0xD800 && c < 0xDC00 && text_.substr(at_, 2) == "\\u") {
                    at_ += 2;
                    c = 0x10000 + ((c - 0xD800) << 10) + ((hex4() - 0xDC00) & 0x3FF);
                }
                append_utf8(out, c);
                at_--;
            } else if (const char* p = peek() ? std::strchr(from, peek()) : nullptr) {
                out += to[p - from];
            } else {
                error("unknown escape in a string");
            }
        }
        at_++;
        return out;
    }

    static void append_utf8(std::string& out, unsigned c) {
        if (c < 0x80) {
            out += static_cast<char>(c);
            return;
        }
        int more = c >= 0x10000 ? 3 : c >= 0x800 ? 2 : 1;
        static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
        out += static_cast<char>(lead[more] | c >> (6 * more));
        while (more--) out += static_cast<char>(0x80 | (c >> (6 * more) & 0x3F));
    }

    std::string_view text_;
    const std::string& file_;
    size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& file) {
    require(valid_utf8(text), "%s: not UTF-8 text", file.c_str());
    if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
    return Parser(text, file).document();
}

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\')
            out += '\\', out += c;
        else if (static_cast<unsigned char>(c) < 0x20)
            out += format("\\u%04x", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + '"';
}

}  // namespace sm::io
