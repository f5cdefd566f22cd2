// Machine code in this process: relocatable x86-64 ELF objects, as the compiler makes them, put into memory and linked
// with this library and the C library. For in-process programs; executables have their linker.
#ifndef SYSMLC_LOAD_OBJECT_H
#define SYSMLC_LOAD_OBJECT_H

#include "sysmlc.h"

typedef struct sm_code sm_code;

// NULL when the object is damaged or needs what is not there: `message` then holds why, cut to `room` bytes.
SM_API sm_code* sm_code_load(const void* object, int64_t size, char* message, int64_t room);
SM_API void* sm_code_symbol(const sm_code* code, const char* name);  // NULL: not defined there
SM_API void sm_code_free(sm_code* code);

#endif
