// The life of a context: running a program, its errors, its objects, its bindings.
#include "context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <new>

namespace sm {

std::string format(const char* fmt, ...) {
    char buffer[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(buffer, sizeof buffer, fmt, args);
    va_end(args);
    if (n < int(sizeof buffer)) return std::string(buffer, n > 0 ? size_t(n) : 0);
    std::string result(size_t(n), '\0');
    va_start(args, fmt);
    vsnprintf(&result[0], result.size() + 1, fmt, args);
    va_end(args);
    return result;
}

void fail(const char* fmt, ...) {
    char buffer[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(buffer, sizeof buffer, fmt, args);
    va_end(args);
    throw Error(buffer);
}

void record_failure(sm_ctx* ctx, std::exception_ptr failure) noexcept {
    Context* c = context(ctx);
    try {
        try {
            std::rethrow_exception(failure);
        } catch (const Error& e) {
            c->error.assign(e.message);
        } catch (const std::bad_alloc&) {
            c->error.assign("out of memory");
        } catch (const std::exception& e) {
            c->error.assign(e.what());
        } catch (...) {
            c->error.assign("unknown failure in the runtime");
        }
    } catch (...) {  // no memory for the message: the buffer reserved at the start takes this
        c->error.assign("out of memory");
    }
    c->failed = true;
    c->error_loc = ctx->loc;
}

void unwind(sm_ctx* ctx) {
    if (context(ctx)->run) longjmp(*context(ctx)->run, 1);
}

// ---- objects --------------------------------------------------------------------------------------------------

sm_object* new_object(sm_ctx* ctx, uint8_t kind, size_t size) {
    auto* o = static_cast<sm_object*>(calloc(1, size));
    if (!o) throw std::bad_alloc();
    Context* c = context(ctx);
    o->refs = 1;
    o->kind = kind;
    o->ctx = ctx;
    o->next = c->objects.next;
    o->prev = &c->objects;
    o->next->prev = o;
    c->objects.next = o;
    c->live++;
    return o;
}

namespace {

void for_each_child(sm_object* o, void (*visit)(sm_object*)) {
    if (o->kind == SM_KIND_LIST) {
        auto* list = reinterpret_cast<sm_list*>(o);
        for (int64_t i = 0; i < list->length; i++) {
            visit(list->items[i]);
            if (list->names && list->names[i]) visit(&list->names[i]->o);
        }
    } else if (o->kind == SM_KIND_BOX) {
        auto* box = reinterpret_cast<sm_box*>(o);
        if (box->tag == SM_TAG_STRING) visit(&box->v.str->o);
    } else if (o->kind == SM_KIND_MATRIX) {
        auto* m = reinterpret_cast<sm_matrix*>(o);
        if (m->flags & SM_VIEW) visit(static_cast<sm_object*>(m->external));
    }
}

void free_object(sm_object* o) noexcept {
    o->prev->next = o->next;
    o->next->prev = o->prev;
    context(o->ctx)->live--;
    if (o->kind == SM_KIND_MATRIX) {
        free_matrix_buffers(reinterpret_cast<sm_matrix*>(o));
    } else if (o->kind == SM_KIND_LIST) {
        free(reinterpret_cast<sm_list*>(o)->items);
        free(reinterpret_cast<sm_list*>(o)->names);
    }
    free(o);
}

void mark(sm_object* o) {
    if (!o) return;
    o->refs++;
    if (o->mark) return;
    o->mark = 1;
    for_each_child(o, mark);
}

}  // namespace

void destroy(sm_object* o) noexcept {
    if (o->holds) {  // only the host still knows it
        return;
    }
    for_each_child(o, release);
    free_object(o);
}

void sweep(Context* c) noexcept {
    for (sm_object* o = c->objects.next; o != &c->objects; o = o->next) o->refs = o->mark = 0;
    for (auto* bindings : {&c->inputs, &c->outputs})
        for (Binding& b : *bindings) mark(b.second);
    for (sm_object* o = c->objects.next; o != &c->objects; o = o->next)
        if (o->holds && !o->mark) {
            mark(o);
            o->refs--;
        }
    for (sm_object *o = c->objects.next, *next; o != &c->objects; o = next) {
        next = o->next;
        if (!o->mark) free_object(o);
    }
}

namespace {

void bind(std::vector<Binding>& bindings, const char* name, sm_object* value) {
    retain(value);
    for (Binding& b : bindings)
        if (b.first == name) {
            release(b.second);
            b.second = value;
            return;
        }
    bindings.emplace_back(name, value);
}

sm_object* lookup(const std::vector<Binding>& bindings, const char* name) {
    for (const Binding& b : bindings)
        if (b.first == name) return b.second;
    return nullptr;
}

constexpr int kTemporaries = 64;
std::atomic<char*> temporaries[kTemporaries];  // also read by the signal handler

}  // namespace

void register_temporary(sm_ctx* ctx, const std::string& path) {
    context(ctx)->temporaries.push_back(path);
    char* text = strdup(path.c_str());
    for (auto& slot : temporaries) {
        char* empty = nullptr;
        if (text && slot.compare_exchange_strong(empty, text)) return;
    }
    free(text);
}

void forget_temporary(sm_ctx* ctx, const std::string& path) {
    auto& list = context(ctx)->temporaries;
    for (size_t i = 0; i < list.size(); i++)
        if (list[i] == path) {
            list.erase(list.begin() + long(i));
            break;
        }
    for (auto& slot : temporaries) {
        char* text = slot.load();
        if (text && path == text && slot.compare_exchange_strong(text, nullptr)) return free(text);
    }
}

void remove_all_temporaries() noexcept {
    for (auto& slot : temporaries)
        if (char* text = slot.load()) unlink(text);
}

}  // namespace sm

using sm::context;

SM_API sm_ctx* sm_ctx_new(void) {
    auto* c = new (std::nothrow) sm::Context();
    if (!c) return nullptr;
    c->objects.next = c->objects.prev = &c->objects;
    c->error.reserve(256);
    c->loc = -1;
    return c;
}

SM_API void sm_ctx_free(sm_ctx* ctx) {
    if (!ctx) return;
    sm_clear_bindings(ctx);
    for (sm_object* o = context(ctx)->objects.next; o != &context(ctx)->objects; o = o->next) o->holds = 0;
    sm::sweep(context(ctx));
    delete context(ctx);
}

SM_API int32_t sm_run(sm_ctx* ctx, void (*entry)(sm_ctx*)) {
    sm::Context* c = context(ctx);
    jmp_buf here;
    jmp_buf* const outer = c->run;
    c->failed = false;
    c->error_loc = -1;
    c->stats.open.clear();
    if (setjmp(here) == 0) {
        c->run = &here;
        entry(ctx);
    }
    c->run = nullptr;
    const bool failed = c->failed;
    try {
        sm::flush_output(c);
    } catch (...) {
        // The first failure is the one to tell.
        if (!failed) sm::record_failure(ctx, std::current_exception());
    }
    c->run = outer;
    if (!outer) {
        auto left = c->temporaries;
        for (const std::string& path : left) {
            unlink(path.c_str());
            sm::forget_temporary(ctx, path);
        }
        const int64_t before = c->live;
        sm::sweep(c);
        c->leaked = failed ? 0 : before - c->live;
        ctx->interrupt = 0;
    }
    return c->failed ? 1 : 0;
}

SM_API const char* sm_error_message(sm_ctx* ctx) { return context(ctx)->failed ? context(ctx)->error.c_str() : nullptr; }
SM_API int32_t sm_error_loc(sm_ctx* ctx) { return context(ctx)->failed ? context(ctx)->error_loc : -1; }
SM_API void sm_error_clear(sm_ctx* ctx) { context(ctx)->failed = false; }

SM_API const char* sm_error_render(sm_ctx* ctx) {
    sm::Context* c = context(ctx);
    if (!c->failed) return "";
    std::string& out = c->rendered;
    out.clear();
    int32_t i = c->error_loc;
    if (i >= 0 && i < c->n_locations) {
        const sm_location& at = c->locations[i];
        out += at.file ? at.file : "<script>";
        if (at.line > 0) out += ":" + std::to_string(at.line);
        if (at.line > 0 && at.col > 0) out += ":" + std::to_string(at.col);
        out += ": ";
    }
    out += "error: " + c->error + "\n";
    if (i >= 0 && i < c->n_locations && c->locations[i].text) {
        const sm_location& at = c->locations[i];
        out += std::string("  ") + at.text + "\n";
        if (at.col > 0) {
            out += "  ";  // tabs stay tabs, so that the caret stands below its column
            const char* p = at.text;
            for (int32_t k = 1; k < at.col && *p; p++)
                if ((*p & 0xC0) != 0x80) out += *p == '\t' ? '\t' : ' ', k++;
            out += "^\n";
        }
    }
    return out.c_str();
}

SM_API void sm_set_locations(sm_ctx* ctx, const sm_location* table, int64_t n) {
    context(ctx)->locations = table;
    context(ctx)->n_locations = n;
}

SM_API void sm_set_resolve(sm_ctx* ctx, sm_cell_fn (*resolve)(sm_ctx*, const sm_cell_kernel*, uint32_t)) {
    ctx->resolve = resolve;
    context(ctx)->variants.clear();
}

SM_API void sm_interrupt(sm_ctx* ctx) { ctx->interrupt = 1; }

SM_API void sm_abandon(void) { sm::remove_all_temporaries(); }

SM_API void sm_interrupted(sm_ctx* ctx) {
    return SM_ENTRY(ctx, { sm::check_interrupt(ctx); });
}

SM_API void sm_fail(sm_ctx* ctx, const char* message) {
    return SM_ENTRY(ctx, { throw sm::Error(message); });
}

SM_API void sm_set_arg(sm_ctx* ctx, const char* name, const char* text) {
    return SM_ENTRY(ctx, {
        for (auto& arg : context(ctx)->args)
            if (arg.first == name) return void(arg.second = text);
        context(ctx)->args.emplace_back(name, text);
    });
}

SM_API void sm_set_input(sm_ctx* ctx, const char* name, sm_object* value) {
    return SM_ENTRY(ctx, { sm::bind(context(ctx)->inputs, name, value); });
}
SM_API void sm_set_output(sm_ctx* ctx, const char* name, sm_object* value) {
    return SM_ENTRY(ctx, { sm::bind(context(ctx)->outputs, name, value); });
}
SM_API sm_object* sm_get_input(sm_ctx* ctx, const char* name) { return sm::lookup(context(ctx)->inputs, name); }
SM_API sm_object* sm_get_output(sm_ctx* ctx, const char* name) { return sm::lookup(context(ctx)->outputs, name); }

SM_API void sm_clear_bindings(sm_ctx* ctx) {
    for (auto* bindings : {&context(ctx)->inputs, &context(ctx)->outputs}) {
        for (sm::Binding& b : *bindings) sm::release(b.second);
        bindings->clear();
    }
}

SM_API void sm_retain(sm_ctx*, sm_object* object) { sm::retain(object); }
SM_API void sm_release(sm_ctx*, sm_object* object) { sm::release(object); }

SM_API void sm_hold(sm_ctx* ctx, sm_object* object) {
    return SM_ENTRY(ctx, {
        sm::require(object->holds < 65535, "too many host references to one value");
        object->holds++;
    });
}
SM_API void sm_unhold(sm_ctx*, sm_object* object) {
    if (--object->holds == 0 && object->refs <= 0) sm::destroy(object);
}
SM_API int64_t sm_live_objects(sm_ctx* ctx) { return context(ctx)->live; }
SM_API int64_t sm_leaked_objects(sm_ctx* ctx) { return context(ctx)->leaked; }
