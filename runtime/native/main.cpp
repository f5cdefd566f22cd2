// The main function of executables: arguments, help, signals, exit codes.
#include "context.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

namespace sm {
namespace {

sm_ctx* running = nullptr;
volatile sig_atomic_t interrupts = 0;

// The first signal asks the program to stop at its next check; the second does not wait for that.
void on_interrupt(int) {
    if (interrupts++ == 0 && running) {
        sm_interrupt(running);
        return;
    }
    remove_all_temporaries();
    static const char message[] = "\ninterrupted\n";
    (void)!write(2, message, sizeof message - 1);
    _exit(130);
}

constexpr int32_t kFixed = 2;  // sm_param::has_default of arguments that a program was compiled with

struct Usage {
    std::string message;
};

void help(const char* self, const sm_program* program) {
    std::string out = format("%s: a compiled DML script%s%s\n\nusage: %s [options] [-nvargs name=value … | -args value …]\n\n",
                             program->name ? program->name : self, program->version ? ", by sysmlc " : "",
                             program->version ? program->version : "", self);
    if (program->n_params > 0) out += "arguments of the script ($name):\n";
    for (int64_t i = 0; i < program->n_params; i++) {
        const sm_param& p = program->params[i];
        const char* what = p.has_default == kFixed ? "fixed: " : p.has_default ? "default: " : "required";
        out += format("  %-16s %s%s%s\n", p.name, what,
                      p.has_default && p.default_text ? p.default_text : "", p.help && *p.help ? (std::string("  ") + p.help).c_str() : "");
    }
    out += "\noptions:\n"
           "  -nvargs k=v …    named arguments; must come last\n"
           "  -args a b …      arguments $1, $2, …; must come last\n"
           "  -stats [n]       print statistics and the n heaviest operators (10) at the end\n"
           "  -threads n       use n threads\n"
           "  -seed n          seed of the random generators whose script gives none\n"
           "  -help, --help    this text\n";
    fputs(out.c_str(), stdout);
}

int64_t integer(const char* option, const char* text) {
    int64_t v = 0;
    if (!text || !parse_int(text, v)) throw Usage{format("%s needs a number", option)};
    return v;
}

bool is_option(const char* arg, const char* name) {
    if (arg[0] == '-' && arg[1] == '-') arg++;
    return strcmp(arg, name) == 0;
}

// A program that was compiled with arguments has no others: everything that depends on them is decided.
void check_fixed(const sm_program* program, const std::string& name, const char* value) {
    bool fixed = false;
    for (int64_t i = 0; i < program->n_params; i++) {
        const sm_param& p = program->params[i];
        fixed = fixed || p.has_default == kFixed;
        if (p.has_default != kFixed || name != p.name) continue;
        if (strcmp(value, p.default_text) == 0) return;
        throw Usage{format("the argument $%s is '%s' since the program was compiled with it", p.name, p.default_text)};
    }
    if (fixed) throw Usage{"the program was compiled with its arguments, $" + name + " is not one of them"};
}

void pass_named(sm_ctx* ctx, const sm_program* program, const char* text) {
    const char* equals = strchr(text, '=');
    if (!equals || equals == text) throw Usage{format("-nvargs needs name=value, got '%s'", text)};
    std::string name(text, equals);
    check_fixed(program, name, equals + 1);
    sm_set_arg(ctx, name.c_str(), equals + 1);
}

void check_params(sm_ctx* ctx, const sm_program* program) {
    std::string missing;
    for (int64_t i = 0; i < program->n_params; i++)
        if (!program->params[i].has_default && !sm_has_arg(ctx, program->params[i].name))
            missing += std::string(missing.empty() ? "$" : ", $") + program->params[i].name;
    if (!missing.empty()) throw Usage{"missing arguments: " + missing};
}

struct Options {
    bool help = false, stats = false;
    int64_t top = 10;
};

Options parse(sm_ctx* ctx, const sm_program* program, int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i++) {
        if (is_option(argv[i], "-help") || strcmp(argv[i], "-h") == 0) {
            options.help = true;
        } else if (is_option(argv[i], "-stats")) {
            options.stats = true;
            int64_t n;
            if (i + 1 < argc && parse_int(argv[i + 1], n)) options.top = n, i++;
        } else if (is_option(argv[i], "-threads")) {
            int64_t n = integer("-threads", i + 1 < argc ? argv[++i] : nullptr);
            if (n < 1 || n > 4096) throw Usage{"-threads needs a number of at least 1"};
            sm_set_threads(int32_t(n));
        } else if (is_option(argv[i], "-seed")) {
            sm_set_seed(ctx, integer("-seed", i + 1 < argc ? argv[++i] : nullptr));
        } else if (is_option(argv[i], "-nvargs")) {
            while (++i < argc) pass_named(ctx, program, argv[i]);
        } else if (is_option(argv[i], "-args")) {
            for (int k = 1; ++i < argc; k++) {
                std::string name = std::to_string(k);
                check_fixed(program, name, argv[i]);
                sm_set_arg(ctx, name.c_str(), argv[i]);
            }
        } else {
            throw Usage{format("unknown option '%s'", argv[i])};
        }
    }
    return options;
}

int run(sm_ctx* ctx, int argc, char** argv, const sm_program* program) {
    Options options;
    try {
        options = parse(ctx, program, argc, argv);
        if (options.help) {
            help(argv[0], program);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        check_params(ctx, program);
    } catch (const Usage& usage) {
        fprintf(stderr, "%s: %s (see %s --help)\n", argv[0], usage.message.c_str(), argv[0]);
        return 2;
    }
    context(ctx)->flush_lines = isatty(1) == 1;
    sm_set_locations(ctx, program->locations, program->n_locations);
    sm_stats_enable(ctx, options.stats);
    running = ctx;
    int32_t failed = sm_run(ctx, program->entry);
    running = nullptr;
    if (interrupts) {
        fputs("interrupted\n", stderr);
        return 130;
    }
    if (failed) fputs(sm_error_render(ctx), stderr);
    if (options.stats) fputs(sm_stats_report(ctx, options.top), stderr);
    return failed ? 1 : 0;
}

struct Main {
    int argc;
    char** argv;
    const sm_program* program;
    int status = 1;
};

void* run_main(void* argument) {
    auto* given = static_cast<Main*>(argument);
    sm_ctx* ctx = sm_ctx_new();
    if (!ctx) {
        fputs("error: out of memory\n", stderr);
        return nullptr;
    }
    try {
        given->status = run(ctx, given->argc, given->argv, given->program);
    } catch (const std::exception&) {
        fputs("error: out of memory\n", stderr);
    }
    sm_ctx_free(ctx);
    return nullptr;
}

// Functions that call themselves count on a stack of this size (see STACK_LIMIT of the compiler).
constexpr size_t kStack = size_t(8) << 20;

// Runs on a stack that is large enough: that of the process, or if it was started with a smaller one, that of a thread.
void run_on_stack(Main& given) {
    rlimit limit;
    pthread_attr_t attributes;
    pthread_t thread;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kStack) {
        run_main(&given);
        return;
    }
    pthread_attr_init(&attributes);
    bool started = pthread_attr_setstacksize(&attributes, kStack) == 0 && pthread_create(&thread, &attributes, run_main, &given) == 0;
    pthread_attr_destroy(&attributes);
    if (started) pthread_join(thread, nullptr);
    else fputs("error: out of memory: there is no room for a stack of 8 MB\n", stderr);
}

}  // namespace
}  // namespace sm

SM_API int32_t sm_main(int argc, char** argv, const sm_program* program) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = sm::on_interrupt;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error like others
    // Where a standard stream is closed, no file may get its number: what is printed would end up in it.
    int number;
    while ((number = open("/dev/null", O_RDONLY)) >= 0 && number <= 2) continue;
    if (number > 2) close(number);
    sm::Main given{argc, argv, program};
    sm::run_on_stack(given);
    return given.status;
}
