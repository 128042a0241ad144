#define CURL_LOADER
#include "lib/aws/curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct curl_library curl_library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct error failure;

/* A function pointer cannot be cast from what dlsym() returns. */
static void find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        error_set(&failure, ELIBACC, "libcurl has no %s", name);
    memcpy(ret_function, &symbol, sizeof(symbol));
}

static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        error_set(&failure, ELIBACC, "libcurl cannot be loaded: %s", dlerror());
        return;
    }
#define FIND(name) find(library, #name, &curl_library.name##_);
    CURL_FUNCTIONS(FIND)
#undef FIND
    if (failure.code)
        return;
    CURLcode code = curl_library.curl_global_init_(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        error_set(&failure, EIO, "libcurl: %s", curl_library.curl_easy_strerror_(code));
}

int curl_load(struct error *err)
{
    pthread_once(&once, load);
    return failure.code ? error_set(err, failure.code, "%s", failure.text) : 0;
}
