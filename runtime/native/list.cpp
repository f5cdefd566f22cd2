// Lists: immutable sequences of matrices, boxes and lists, with or without names.
#include "context.h"

#include <stdlib.h>
#include <string.h>

namespace sm {
namespace {

List new_list(sm_ctx* ctx, int64_t length, bool named) {
    List list = new_object<sm_list>(ctx, SM_KIND_LIST);
    if (length > 0) {
        list->items = static_cast<sm_object**>(calloc(size_t(length), sizeof(sm_object*)));
        if (named) list->names = static_cast<sm_string**>(calloc(size_t(length), sizeof(sm_string*)));
        if (!list->items || (named && !list->names)) throw std::bad_alloc();
    }
    list->capacity = length;
    return list;
}

void push(sm_list* list, sm_object* item, sm_string* name) {
    retain(item);
    if (name) retain(&name->o);
    if (list->names) list->names[list->length] = name;
    list->items[list->length++] = item;
}

sm_string* name_of(const sm_list* list, int64_t i) { return list->names ? list->names[i] : nullptr; }

void push_range(sm_list* to, const sm_list* from, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) push(to, from->items[i], name_of(from, i));
}

int64_t position(const sm_list* list, int64_t index) {
    if (index < 1 || index > list->length)
        fail("list index %lld is out of range: the list has %lld %s", (long long)index, (long long)list->length,
             list->length == 1 ? "entry" : "entries");
    return index - 1;
}

int64_t position(const sm_list* list, std::string_view key) {
    for (int64_t i = 0; i < list->length; i++)
        if (name_of(list, i) && view(name_of(list, i)) == key) return i;
    fail("the list has no entry named '%.*s'", int(key.size()), key.data());
}

sm_object* only_entry(const sm_list* list, const char* what) {
    require(list->length == 1, "%s needs a list of one entry, got %lld", what, (long long)list->length);
    return list->items[0];
}

List with_entry(sm_ctx* ctx, sm_list* list, int64_t at, sm_list* value) {
    sm_object* item = only_entry(value, "assigning to a list entry");
    List r = new_list(ctx, list->length, list->names != nullptr);
    push_range(r.get(), list, 0, at);
    push(r.get(), item, name_of(list, at));
    push_range(r.get(), list, at + 1, list->length);
    return r;
}

Box box_f64(sm_ctx* ctx, double v) {
    Box b = new_object<sm_box>(ctx, SM_KIND_BOX);
    b->tag = SM_TAG_F64;
    b->v.f64 = v;
    return b;
}

Ref<sm_object> object_of(sm_ctx* ctx, const sm_arg& value) {
    switch (value.tag) {
        case SM_TAG_F64: case SM_TAG_I64: case SM_TAG_I1: case SM_TAG_STRING: {
            Box b = new_object<sm_box>(ctx, SM_KIND_BOX);
            if (value.tag == SM_TAG_STRING) b->v.str = lasting(ctx, value.v.str).take();
            else b->v.i64 = value.v.i64;  // the same bits for f64
            b->tag = int32_t(value.tag);
            return Ref<sm_object>(&b.take()->o);
        }
        default: return Ref<sm_object>::borrow(value.v.object);
    }
}

double number_of(const sm_box* b) {
    if (b->tag == SM_TAG_F64) return b->v.f64;
    require(b->tag != SM_TAG_STRING, "a string cannot be used as a matrix");
    return double(b->v.i64);
}

void append_text(sm_ctx* ctx, std::string& out, sm_object* item) {
    if (item->kind == SM_KIND_MATRIX) {
        out += "\nMatrix:\n" + matrix_text(ctx, reinterpret_cast<sm_matrix*>(item), 100, 100, 3, false, " ", "\n");
        return;
    }
    if (item->kind == SM_KIND_BOX) {
        auto* b = reinterpret_cast<sm_box*>(item);
        if (b->tag == SM_TAG_F64) append_double(out, b->v.f64);
        else if (b->tag == SM_TAG_I64) out += to_text(b->v.i64);
        else if (b->tag == SM_TAG_I1) out += to_text(b->v.i64 != 0);
        else out += view(b->v.str);
        return;
    }
    auto* list = reinterpret_cast<sm_list*>(item);
    out += "List containing:\n[";
    for (int64_t i = 0; i < list->length; i++) {
        if (i > 0) out += ", ";
        append_text(ctx, out, list->items[i]);
    }
    out += "]";
}

}  // namespace
}  // namespace sm

SM_API sm_list* sm_list_new(sm_ctx* ctx, int64_t n, const sm_arg* values, const char* const* names) {
    return SM_ENTRY(ctx, {
        sm::List list = sm::new_list(ctx, n, names != nullptr);
        for (int64_t i = 0; i < n; i++) {
            auto item = sm::object_of(ctx, values[i]);
            sm::String name = names && names[i] ? sm::new_string(ctx, names[i]) : sm::String();
            sm::push(list.get(), item.get(), name.get());
        }
        return list.take();
    });
}

SM_API int64_t sm_list_length(sm_ctx*, sm_list* list) { return list->length; }

SM_API sm_list* sm_list_range(sm_ctx* ctx, sm_list* list, int64_t from, int64_t to) {
    return SM_ENTRY(ctx, {
        int64_t begin = sm::position(list, from);
        int64_t end = sm::position(list, to) + 1;
        sm::require(begin < end, "list range %lld:%lld is empty", (long long)from, (long long)to);
        sm::List r = sm::new_list(ctx, end - begin, list->names != nullptr);
        sm::push_range(r.get(), list, begin, end);
        return r.take();
    });
}

SM_API sm_list* sm_list_named(sm_ctx* ctx, sm_list* list, sm_string* key) {
    return SM_ENTRY(ctx, {
        int64_t i = sm::position(list, sm::view(key));
        sm::List r = sm::new_list(ctx, 1, true);
        sm::push_range(r.get(), list, i, i + 1);
        return r.take();
    });
}

SM_API int64_t sm_list_find(sm_ctx*, sm_list* list, sm_string* key, int64_t position) {
    if (!list->names) return position <= list->length ? position : 0;
    for (int64_t i = 0; i < list->length; i++)
        if (list->names[i] && sm::view(list->names[i]) == sm::view(key)) return i + 1;
    return 0;
}

SM_API sm_matrix* sm_list_matrix(sm_ctx* ctx, sm_list* list, const char* elem) {
    return SM_ENTRY(ctx, {
        sm_object* item = sm::only_entry(list, "as.matrix");
        sm::require(item->kind != SM_KIND_LIST, "as.matrix: the entry is a list");
        uint8_t e = sm::element_named(elem);
        if (item->kind == SM_KIND_MATRIX) return sm::to_element(ctx, reinterpret_cast<sm_matrix*>(item), e).take();
        return sm::new_dense_fill(ctx, 1, 1, sm::number_of(reinterpret_cast<sm_box*>(item)), e).take();
    });
}

SM_API sm_box* sm_list_scalar(sm_ctx* ctx, sm_list* list) {
    return SM_ENTRY(ctx, {
        sm_object* item = sm::only_entry(list, "as.scalar");
        sm::require(item->kind != SM_KIND_LIST, "as.scalar: the entry is a list");
        if (item->kind == SM_KIND_BOX) return sm::Box::borrow(reinterpret_cast<sm_box*>(item)).take();
        auto* m = reinterpret_cast<sm_matrix*>(item);
        if (m->rows != 1 || m->cols != 1) sm::fail("as.scalar: the entry is a %s matrix", sm::shape(m).c_str());
        return sm::box_f64(ctx, sm::cell(m, 0, 0)).take();
    });
}

SM_API sm_list* sm_list_list(sm_ctx* ctx, sm_list* list) {
    return SM_ENTRY(ctx, {
        sm_object* item = sm::only_entry(list, "as.list");
        sm::require(item->kind == SM_KIND_LIST, "as.list: the entry is no list");
        return sm::List::borrow(reinterpret_cast<sm_list*>(item)).take();
    });
}

SM_API sm_list* sm_list_append(sm_ctx* ctx, sm_list* list, sm_list* value) {
    return SM_ENTRY(ctx, {
        sm_object* item = sm::only_entry(value, "append");
        sm::List r = sm::new_list(ctx, list->length + 1, list->names || value->names);
        sm::push_range(r.get(), list, 0, list->length);
        sm::push(r.get(), item, sm::name_of(value, 0));
        return r.take();
    });
}

SM_API sm_list* sm_list_set(sm_ctx* ctx, sm_list* list, int64_t index, sm_list* value) {
    return SM_ENTRY(ctx, { return sm::with_entry(ctx, list, sm::position(list, index), value).take(); });
}

SM_API sm_list* sm_list_set_named(sm_ctx* ctx, sm_list* list, sm_string* key, sm_list* value) {
    return SM_ENTRY(ctx, { return sm::with_entry(ctx, list, sm::position(list, sm::view(key)), value).take(); });
}

SM_API void sm_list_remove(sm_ctx* ctx, sm_list* list, int64_t index, sm_list** rest, sm_list** removed) {
    return SM_ENTRY(ctx, {
        int64_t at = sm::position(list, index);
        sm::List r = sm::new_list(ctx, list->length - 1, list->names != nullptr);
        sm::push_range(r.get(), list, 0, at);
        sm::push_range(r.get(), list, at + 1, list->length);
        sm::List one = sm::new_list(ctx, 1, list->names != nullptr);
        sm::push_range(one.get(), list, at, at + 1);
        *rest = r.take();
        *removed = one.take();
    });
}

// The name of the entry at a position, for hosts; NULL when it has none.
SM_API const char* sm_list_name(sm_ctx*, sm_list* list, int64_t index) {
    if (index < 1 || index > list->length || !sm::name_of(list, index - 1)) return nullptr;
    return sm::name_of(list, index - 1)->text;
}

SM_API sm_string* sm_list_to_string(sm_ctx* ctx, sm_list* list) {
    return SM_ENTRY(ctx, {
        std::string out;
        sm::append_text(ctx, out, &list->o);
        return sm::new_string(ctx, out).take();
    });
}
