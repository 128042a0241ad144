/*
 * curl: libcurl, loaded when it is first needed. With the thirty libraries that it brings it is
 * 5 MB of a process, and most sidecars and gates never send a request.
 *
 *     r = curl_load(&err);                  // before anything else of libcurl
 *
 * To be included instead of <curl/curl.h>: the functions keep their names, those that are listed
 * here. Threads: any. Errors: -ELIBACC the library is not there.
 */
#ifndef LIB_AWS_CURL_H
#define LIB_AWS_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "lib/error.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CURL_FUNCTIONS(X)                                                                          \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_header)                                                                            \
    X(curl_easy_init)                                                                              \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_free)                                                                                   \
    X(curl_getdate)                                                                                \
    X(curl_global_init)                                                                            \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_url)                                                                                    \
    X(curl_url_cleanup)                                                                            \
    X(curl_url_get)                                                                                \
    X(curl_url_set)

#define CURL_MEMBER(name) typeof(&(name)) name##_;
extern struct curl_library {
    CURL_FUNCTIONS(CURL_MEMBER)
} curl_library;
#undef CURL_MEMBER

int curl_load(struct error *err);

#ifndef CURL_LOADER
#define curl_easy_cleanup   curl_library.curl_easy_cleanup_
#define curl_easy_getinfo   curl_library.curl_easy_getinfo_
#define curl_easy_header    curl_library.curl_easy_header_
#define curl_easy_init      curl_library.curl_easy_init_
#define curl_easy_perform   curl_library.curl_easy_perform_
#define curl_easy_setopt    curl_library.curl_easy_setopt_
#define curl_easy_strerror  curl_library.curl_easy_strerror_
#define curl_free           curl_library.curl_free_
#define curl_getdate        curl_library.curl_getdate_
#define curl_slist_append   curl_library.curl_slist_append_
#define curl_slist_free_all curl_library.curl_slist_free_all_
#define curl_url            curl_library.curl_url_
#define curl_url_cleanup    curl_library.curl_url_cleanup_
#define curl_url_get        curl_library.curl_url_get_
#define curl_url_set        curl_library.curl_url_set_
#endif

#endif
