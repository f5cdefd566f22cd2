// Strings and the conversions between strings and scalars.
#include "context.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include <algorithm>

namespace sm {

String new_string(sm_ctx* ctx, std::string_view text) {
    String s = new_object<sm_string>(ctx, SM_KIND_STRING, offsetof(sm_string, text) + text.size() + 1);
    s->length = int64_t(text.size());
    if (!text.empty()) memcpy(s->text, text.data(), text.size());
    return s;
}

String lasting(sm_ctx* ctx, sm_string* s) { return s->o.ctx ? String::borrow(s) : new_string(ctx, view(s)); }

double to_f64(std::string_view text) {
    double v;
    if (!parse_double(text, v)) fail("cannot read '%.*s' as a number", int(std::min<size_t>(text.size(), 60)), text.data());
    return v;
}

int64_t to_i64(std::string_view text) {
    int64_t exact;
    return parse_int(text, exact) ? exact : truncated(to_f64(text));
}

bool to_i1(std::string_view text) { return text == "TRUE" || text == "true"; }

}  // namespace sm

using sm::view;

SM_API sm_string* sm_string_new(sm_ctx* ctx, const char* text, int64_t length) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, {text, size_t(length < 0 ? int64_t(strlen(text)) : length)}).take(); });
}

SM_API sm_string* sm_concat(sm_ctx* ctx, sm_string* a, sm_string* b) {
    return SM_ENTRY(ctx, {
        sm::String s = sm::new_object<sm_string>(ctx, SM_KIND_STRING, offsetof(sm_string, text) + size_t(a->length + b->length) + 1);
        s->length = a->length + b->length;
        memcpy(s->text, a->text, size_t(a->length));
        memcpy(s->text + a->length, b->text, size_t(b->length));
        return s.take();
    });
}

// Negative, 0 or positive, by bytes: for UTF-8 that is the order of the code points.
SM_API int64_t sm_string_compare(sm_ctx*, sm_string* a, sm_string* b) {
    int order = view(a).compare(view(b));
    return order < 0 ? -1 : order > 0;
}

SM_API sm_string* sm_cast_f64_str(sm_ctx* ctx, double v) {
    return SM_ENTRY(ctx, {
        char text[40];
        return sm::new_string(ctx, {text, size_t(sm::write_double(text, v))}).take();
    });
}
SM_API sm_string* sm_cast_i64_str(sm_ctx* ctx, int64_t v) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, sm::to_text(v)).take(); });
}
SM_API sm_string* sm_cast_i1_str(sm_ctx* ctx, int32_t v) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, v ? "TRUE" : "FALSE").take(); });
}

SM_API double sm_cast_str_f64(sm_ctx* ctx, sm_string* s) {
    return SM_ENTRY(ctx, { return sm::to_f64(view(s)); });
}
SM_API int64_t sm_cast_str_i64(sm_ctx* ctx, sm_string* s) {
    return SM_ENTRY(ctx, { return sm::to_i64(view(s)); });
}
SM_API int32_t sm_cast_str_i1(sm_ctx*, sm_string* s) { return sm::to_i1(view(s)); }
SM_API int64_t sm_cast_f64_i64(sm_ctx*, double v) { return sm::truncated(v); }
