// Output, and the text forms of matrices.
#include "context.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <charconv>

namespace sm {

void flush_output(Context* c) {
    std::string pending = std::move(c->output);
    c->output.clear();
    const char* p = pending.data();
    size_t left = pending.size();
    while (left > 0) {
        ssize_t n = write(1, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("cannot write to standard output: %s", strerror(errno));
        p += n;
        left -= size_t(n);
    }
}

void print_text(sm_ctx* ctx, std::string_view text) {
    Context* c = context(ctx);
    if (c->sink) {
        int32_t status = c->sink(c->sink_user, text.data(), int64_t(text.size()));
        if (status != 0) fail("cannot write the output: %s", strerror(status));
        return;
    }
    c->output.append(text);
    if (c->output.size() > (64 << 10) || (c->flush_lines && memchr(text.data(), '\n', text.size()))) flush_output(c);
}

namespace {

// `decimal` fraction digits, rounded half even on the exact value, never an exponent. Digits beyond those
// that tell the number from its neighbours are zeros.
void append_decimal(std::string& out, double v, int decimal) {
    if (v != v) {
        out += "NaN";
        return;
    }
    if (isinf(v)) {
        out += v < 0 ? "-Infinity" : "Infinity";
        return;
    }
    if (v == 0) v = 0;  // no sign
    if (v == floor(v) && fabs(v) < 1e15) {
        char buffer[32];
        out.append(buffer, std::to_chars(buffer, buffer + 32, int64_t(v)).ptr);
        if (decimal > 0) out.append(1, '.').append(size_t(decimal), '0');
        return;
    }
    char buffer[1100];
    char* end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed).ptr;
    auto* point = static_cast<char*>(memchr(buffer, '.', size_t(end - buffer)));
    // Beyond 2^53 the plain form would show digits that the shortest form does not have.
    if (!point && fabs(v) >= 1e15) {
        char digits[40];
        char* e = std::to_chars(digits, digits + sizeof digits, fabs(v), std::chars_format::scientific).ptr;
        int exponent = 0, n = 0;
        char* p = digits;
        end = buffer;
        if (v < 0) *end++ = '-';
        for (; *p != 'e'; p++)
            if (*p != '.') *end++ = *p, n++;
        std::from_chars(p + 2, e, exponent);
        for (; n < exponent + 1; n++) *end++ = '0';
    }
    int fraction = point ? int(end - point - 1) : 0;
    if (fraction <= decimal) {
        out.append(buffer, end);
        if (decimal > 0 && !point) out += '.';
        out.append(size_t(decimal - fraction), '0');
    } else {
        int n = snprintf(buffer, sizeof buffer, "%.*f", decimal, v);
        out.append(buffer, size_t(n));
    }
}

}  // namespace

std::string matrix_text(sm_ctx*, sm_matrix* m, int64_t rows, int64_t cols, int64_t decimal, bool sparse,
                        std::string_view sep, std::string_view linesep) {
    require(decimal >= 0 && decimal <= 10000, "toString: decimal must be between 0 and 10000, got %lld", (long long)decimal);
    require(rows >= 0 && cols >= 0, "toString: rows and cols must not be negative");
    if (rows > m->rows) rows = m->rows;
    if (cols > m->cols) cols = m->cols;
    std::string out;
    for (int64_t i = 0; i < rows; i++) {
        if (!sparse) {
            for (int64_t j = 0; j < cols; j++) {
                if (j > 0) out += sep;
                append_decimal(out, cell(m, i, j), int(decimal));
            }
            out += linesep;
            continue;
        }
        auto entry = [&](int64_t j, double v) {
            if (v == 0 || j >= cols) return;
            out += std::to_string(i + 1);
            out.append(sep).append(std::to_string(j + 1)).append(sep);
            append_decimal(out, v, int(decimal));
            out += linesep;
        };
        if (is_csr(m))
            for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++) entry(m->colidx[p], cell(m, i, m->colidx[p]));
        else
            for (int64_t j = 0; j < cols; j++) entry(j, cell(m, i, j));
    }
    return out;
}

}  // namespace sm

using sm::view;

SM_API void sm_set_output_sink(sm_ctx* ctx, int32_t (*sink)(void* user, const char* text, int64_t n), void* user) {
    sm::context(ctx)->sink = sink;
    sm::context(ctx)->sink_user = user;
}

SM_API void sm_flush(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { sm::flush_output(sm::context(ctx)); });
}

SM_API void sm_print(sm_ctx* ctx, sm_string* text) {
    return SM_ENTRY(ctx, {
        if (sm::context(ctx)->sink) {
            sm::print_text(ctx, std::string(view(text)) + "\n");
            return;
        }
        sm::print_text(ctx, view(text));
        sm::print_text(ctx, "\n");
    });
}

SM_API void sm_stop(sm_ctx* ctx, sm_string* text) {
    return SM_ENTRY(ctx, { throw sm::Error(std::string(view(text))); });
}

SM_API void sm_assert(sm_ctx* ctx, int32_t condition) {
    return SM_ENTRY(ctx, { sm::require(condition != 0, "assertion failed"); });
}

SM_API void sm_require_defined(sm_ctx* ctx, int32_t flag, const char* variable) {
    if (flag) return;
    return SM_ENTRY(ctx, { sm::fail("variable '%s' is not defined", variable); });
}

SM_API int64_t sm_time(sm_ctx*) {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

SM_API sm_string* sm_matrix_to_string(sm_ctx* ctx, sm_matrix* m, int64_t rows, int64_t cols, int64_t decimal, int32_t sparse,
                                      sm_string* sep, sm_string* linesep) {
    return SM_ENTRY(ctx, {
        return sm::new_string(ctx, sm::matrix_text(ctx, m, rows, cols, decimal, sparse != 0, view(sep), view(linesep))).take();
    });
}
