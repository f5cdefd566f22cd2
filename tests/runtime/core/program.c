// A program as the compiler makes them: an entry that calls the runtime, tables, and sm_main.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sysmlc.h"

SM_API sm_string* sm_string_new(sm_ctx*, const char*, int64_t);
SM_API void sm_print(sm_ctx*, sm_string*);
SM_API sm_string* sm_arg_str(sm_ctx*, const char*);
SM_API int64_t sm_arg_i64(sm_ctx*, const char*);
SM_API sm_string* sm_cast_f64_str(sm_ctx*, double);
SM_API sm_matrix* sm_fill(sm_ctx*, double, int64_t, int64_t, const char* elem);
SM_API sm_matrix* sm_t(sm_ctx*, sm_matrix*);
SM_API sm_matrix* sm_cbind(sm_ctx*, int64_t, sm_matrix**);
SM_API double sm_get_cell(sm_ctx*, sm_matrix*, int64_t, int64_t);
SM_API void sm_output_f64(sm_ctx*, double, const char*);

static void entry(sm_ctx* ctx) {
    sm_string* mode = sm_arg_str(ctx, "mode");
    if (strcmp(mode->text, "hi") == 0) {
        sm_print(ctx, sm_arg_str(ctx, "text"));
    } else if (strcmp(mode->text, "error") == 0) {
        sm_print(ctx, sm_string_new(ctx, "before", -1));
        sm_matrix* m = sm_fill(ctx, 1, 3, 4, "f64");
        ctx->loc = 1;
        sm_get_cell(ctx, m, 5, 1);
        printf("never here\n");
    } else if (strcmp(mode->text, "memory") == 0) {
        ctx->loc = 0;
        sm_matrix* parts[2] = {sm_fill(ctx, 1, 2000, 1000, "f64"), 0};
        for (;;) {
            parts[1] = sm_t(ctx, sm_t(ctx, parts[0]));
            parts[0] = sm_cbind(ctx, 2, parts);
        }
    } else if (strcmp(mode->text, "small") == 0) {  // many small objects
        for (;;) sm_fill(ctx, 1, 10, 10, "f64");
    } else if (strcmp(mode->text, "loop") == 0) {
        sm_print(ctx, sm_string_new(ctx, "looping", -1));
        sm_flush(ctx);
        while (!ctx->interrupt) usleep(1000);
        sm_interrupted(ctx);
    } else if (strcmp(mode->text, "lines") == 0) {
        for (int64_t i = sm_arg_i64(ctx, "n"); i > 0; i--) sm_print(ctx, sm_string_new(ctx, "a line of text", -1));
    } else if (strcmp(mode->text, "fork") == 0) {
        sm_matrix* m = sm_fill(ctx, 1, 3000, 3000, "f64");
        pid_t child = fork();
        double v = sm_get_cell(ctx, sm_t(ctx, sm_fill(ctx, 2, 3000, 3000, "f64")), 3000, 3000) + sm_get_cell(ctx, m, 1, 1);
        if (child == 0) _exit(v == 3 ? 0 : 1);
        int status = 0;
        extern pid_t waitpid(pid_t, int*, int);
        waitpid(child, &status, 0);
        sm_print(ctx, sm_cast_f64_str(ctx, status == 0 ? v : -1));
    } else {
        sm_fail(ctx, "unknown mode");
    }
    sm_release(ctx, &mode->o);
}

static const sm_location locations[] = {{"script.dml", 3, 7, "x = \tfoo(y)"}, {"script.dml", 9, 5, "z = X[5,1]"}};
static const sm_param params[] = {{"mode", 0, 0, "what to do"}, {"text", 1, "hi", ""}, {"n", 1, "10", ""}};
static const sm_program program = {entry, locations, 2, params, 3, "script.dml", "1.0"};

int main(int argc, char** argv) { return sm_main(argc, argv, &program); }
