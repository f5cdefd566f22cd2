// What a program takes from outside and gives back: script arguments, inputs, outputs, undefined values.
#include "context.h"

#include <string.h>

namespace sm {
namespace {

const std::string* find_arg(sm_ctx* ctx, const char* name) {
    for (const auto& arg : context(ctx)->args)
        if (arg.first == name && !arg.second.empty()) return &arg.second;
    return nullptr;
}

const std::string& arg(sm_ctx* ctx, const char* name) {
    const std::string* text = find_arg(ctx, name);
    bool positional = *name >= '0' && *name <= '9';
    if (!text && positional) fail("the script needs the argument $%s: pass it with -args", name);
    if (!text) fail("the script needs the argument $%s: pass it with -nvargs %s=…", name, name);
    return *text;
}

// Quotes around a text argument are optional.
std::string_view unquoted(const std::string& text) {
    std::string_view s = text;
    if (s.size() >= 2 && (s[0] == '"' || s[0] == '\'') && s.back() == s[0]) return s.substr(1, s.size() - 2);
    return s;
}

sm_arg literal(const std::string& text, std::string_view& str) {
    sm_arg a;
    if (text == "TRUE" || text == "FALSE") a.tag = SM_TAG_I1, a.v.i64 = text == "TRUE";
    else if (parse_int(text, a.v.i64)) a.tag = SM_TAG_I64;
    else if (parse_double(text, a.v.f64)) a.tag = SM_TAG_F64;
    else a.tag = SM_TAG_STRING, str = unquoted(text);
    return a;
}

sm_arg number(sm_ctx* ctx, const char* name, const char* wanted) {
    const std::string& text = arg(ctx, name);
    std::string_view str;
    sm_arg a = literal(text, str);
    if (a.tag == SM_TAG_STRING) fail("the argument $%s must be %s, got '%s'", name, wanted, text.c_str());
    return a;
}

sm_object* input(sm_ctx* ctx, const char* name, uint8_t kind, const char* wanted) {
    sm_object* o = sm_get_input(ctx, name);
    if (!o) fail("no input is bound to '%s'", name);
    require(o->kind == kind, "the input '%s' must be %s", name, wanted);
    return o;
}

sm_box* scalar_input(sm_ctx* ctx, const char* name) {
    return reinterpret_cast<sm_box*>(input(ctx, name, SM_KIND_BOX, "a scalar"));
}

void output_box(sm_ctx* ctx, const char* name, int32_t tag, int64_t bits, sm_string* str) {
    Box b = new_object<sm_box>(ctx, SM_KIND_BOX);
    b->v.i64 = bits;
    if (str) b->v.str = lasting(ctx, str).take();
    b->tag = tag;
    auto& outputs = context(ctx)->outputs;
    for (Binding& o : outputs)
        if (o.first == name) {
            release(o.second);
            o.second = &b.take()->o;
            return;
        }
    outputs.emplace_back(name, &b.take()->o);
}

}  // namespace
}  // namespace sm

SM_API int32_t sm_has_arg(sm_ctx* ctx, const char* name) { return sm::find_arg(ctx, name) != nullptr; }

SM_API sm_string* sm_arg_text(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, sm::arg(ctx, name)).take(); });
}
SM_API sm_string* sm_arg_str(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, sm::unquoted(sm::arg(ctx, name))).take(); });
}
SM_API double sm_arg_f64(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_arg a = sm::number(ctx, name, "a number");
        return a.tag == SM_TAG_F64 ? a.v.f64 : double(a.v.i64);
    });
}
SM_API int64_t sm_arg_i64(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_arg a = sm::number(ctx, name, "an integer");
        return a.tag == SM_TAG_F64 ? sm::truncated(a.v.f64) : a.v.i64;
    });
}
SM_API int32_t sm_arg_i1(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_arg a = sm::number(ctx, name, "TRUE or FALSE");
        return int32_t(a.tag == SM_TAG_F64 ? a.v.f64 != 0 : a.v.i64 != 0);
    });
}
SM_API sm_box* sm_arg_box(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        std::string_view str;
        sm_arg a = sm::literal(sm::arg(ctx, name), str);
        sm::Box b = sm::new_object<sm_box>(ctx, SM_KIND_BOX);
        if (a.tag == SM_TAG_STRING) b->v.str = sm::new_string(ctx, str).take();
        else b->v.i64 = a.v.i64;  // the same bits for f64
        b->tag = int32_t(a.tag);
        return b.take();
    });
}

// Inputs of other elements than the program's are converted.
SM_API sm_matrix* sm_input_matrix(sm_ctx* ctx, const char* name, const char* elem) {
    return SM_ENTRY(ctx, {
        auto* m = reinterpret_cast<sm_matrix*>(sm::input(ctx, name, SM_KIND_MATRIX, "a matrix"));
        return sm::to_element(ctx, m, sm::element_named(elem)).take();
    });
}
SM_API sm_list* sm_input_list(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        return sm::List::borrow(reinterpret_cast<sm_list*>(sm::input(ctx, name, SM_KIND_LIST, "a list"))).take();
    });
}
SM_API sm_box* sm_input_box(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, { return sm::Box::borrow(sm::scalar_input(ctx, name)).take(); });
}
SM_API double sm_input_f64(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_box* b = sm::scalar_input(ctx, name);
        sm::require(b->tag != SM_TAG_STRING, "the input '%s' must be a number", name);
        return b->tag == SM_TAG_F64 ? b->v.f64 : double(b->v.i64);
    });
}
SM_API int64_t sm_input_i64(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_box* b = sm::scalar_input(ctx, name);
        sm::require(b->tag != SM_TAG_STRING, "the input '%s' must be an integer", name);
        return b->tag == SM_TAG_F64 ? sm::truncated(b->v.f64) : b->v.i64;
    });
}
SM_API int32_t sm_input_i1(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_box* b = sm::scalar_input(ctx, name);
        sm::require(b->tag != SM_TAG_STRING, "the input '%s' must be a boolean", name);
        return int32_t(b->tag == SM_TAG_F64 ? b->v.f64 != 0 : b->v.i64 != 0);
    });
}
SM_API sm_string* sm_input_str(sm_ctx* ctx, const char* name) {
    return SM_ENTRY(ctx, {
        sm_box* b = sm::scalar_input(ctx, name);
        sm::require(b->tag == SM_TAG_STRING, "the input '%s' must be a string", name);
        return sm::String::borrow(b->v.str).take();
    });
}

SM_API void sm_output_matrix(sm_ctx* ctx, sm_matrix* value, const char* name) { sm_set_output(ctx, name, &value->o); }
SM_API void sm_output_list(sm_ctx* ctx, sm_list* value, const char* name) { sm_set_output(ctx, name, &value->o); }
SM_API void sm_output_box(sm_ctx* ctx, sm_box* value, const char* name) { sm_set_output(ctx, name, &value->o); }
SM_API void sm_output_f64(sm_ctx* ctx, double value, const char* name) {
    return SM_ENTRY(ctx, {
        int64_t bits;
        memcpy(&bits, &value, 8);
        sm::output_box(ctx, name, SM_TAG_F64, bits, nullptr);
    });
}
SM_API void sm_output_i64(sm_ctx* ctx, int64_t value, const char* name) {
    return SM_ENTRY(ctx, { sm::output_box(ctx, name, SM_TAG_I64, value, nullptr); });
}
SM_API void sm_output_i1(sm_ctx* ctx, int32_t value, const char* name) {
    return SM_ENTRY(ctx, { sm::output_box(ctx, name, SM_TAG_I1, value != 0, nullptr); });
}
SM_API void sm_output_str(sm_ctx* ctx, sm_string* value, const char* name) {
    return SM_ENTRY(ctx, { sm::output_box(ctx, name, SM_TAG_STRING, 0, value); });
}

// Stand-ins on paths that never assign a variable; nothing looks at them.
SM_API sm_matrix* sm_undefined_matrix(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { return sm::new_dense_zero(ctx, 0, 0).take(); });
}
SM_API sm_string* sm_undefined_str(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, "").take(); });
}
SM_API sm_list* sm_undefined_list(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { return sm::new_object<sm_list>(ctx, SM_KIND_LIST).take(); });
}
SM_API sm_box* sm_undefined_box(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { return sm::new_object<sm_box>(ctx, SM_KIND_BOX).take(); });
}
