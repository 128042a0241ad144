#include "lib/sha256.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

enum { CHUNK_BYTES = 128 * 1024 };

#define CRYPTO_FUNCTIONS(X)                                                                        \
    X(EVP_MD_CTX_new)                                                                              \
    X(EVP_MD_CTX_free)                                                                             \
    X(EVP_sha256)                                                                                  \
    X(EVP_DigestInit_ex)                                                                           \
    X(EVP_DigestUpdate)                                                                            \
    X(EVP_DigestFinal_ex)

#define MEMBER(name) typeof(&(name)) name##_;
static struct {
    CRYPTO_FUNCTIONS(MEMBER)
} crypto;
#undef MEMBER

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct error failure;

/* A function pointer cannot be cast from what dlsym() returns. */
static void find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        error_set(&failure, ELIBACC, "libcrypto has no %s", name);
    memcpy(ret_function, &symbol, sizeof(symbol));
}

static void load(void)
{
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        error_set(&failure, ELIBACC, "libcrypto cannot be loaded: %s", dlerror());
        return;
    }
#define FIND(name) find(library, #name, &crypto.name##_);
    CRYPTO_FUNCTIONS(FIND)
#undef FIND
}

static void cleanup_context_p(EVP_MD_CTX **context)
{
    crypto.EVP_MD_CTX_free_(*context); /* NULL is fine */
}

static int add_file(EVP_MD_CTX *context, int fd, uint64_t size, struct error *err)
{
    _cleanup_free_ uint8_t *chunk = malloc(CHUNK_BYTES);
    if (!chunk)
        return error_set_errno(err, ENOMEM, "its digest cannot be computed");
    for (uint64_t at = 0; at < size;) {
        uint64_t left = size - at;
        ssize_t n = pread(fd, chunk, left < CHUNK_BYTES ? left : CHUNK_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, errno, "it cannot be read");
        if (n == 0)
            return error_set(err, EBUSY, "it became shorter while it was read");
        crypto.EVP_DigestUpdate_(context, chunk, (size_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

int sha256_of_file(int fd, uint64_t size, uint8_t ret_sha256[SHA256_BYTES], struct error *err)
{
    pthread_once(&once, load);
    if (failure.code)
        return error_set(err, failure.code, "%s", failure.text);
    _cleanup_(cleanup_context_p) EVP_MD_CTX *context = crypto.EVP_MD_CTX_new_();
    if (!context || crypto.EVP_DigestInit_ex_(context, crypto.EVP_sha256_(), NULL) != 1)
        return error_set_errno(err, ENOMEM, "its digest cannot be computed");
    int r = add_file(context, fd, size, err);
    if (r == 0 && crypto.EVP_DigestFinal_ex_(context, ret_sha256, NULL) != 1)
        r = error_set(err, EIO, "its digest cannot be computed");
    return r;
}

const char *sha256_format(const uint8_t sha256[SHA256_BYTES], char buf[SHA256_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        buf[2 * i] = hex[sha256[i] >> 4];
        buf[2 * i + 1] = hex[sha256[i] & 15];
    }
    buf[2 * SHA256_BYTES] = '\0';
    return buf;
}
