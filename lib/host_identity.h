/*
 * host_identity: what tells this host and network namespace apart from others, and what its NFS
 * mounts tell the server about who they are.
 *
 * To an NFSv4.1 server a client is its host name plus an optional unique id. Two network namespaces
 * of one kernel mount separately but under one name, unless they were given ids: the server then
 * takes each for a restart of the other and drops its locks.
 *
 *     struct host_identity host;
 *     r = host_identity_read("", &host, &err);
 *
 * A value that this kernel or container does not show is "". Threads: safe. Errors: -errno.
 */
#ifndef LIB_HOST_IDENTITY_H
#define LIB_HOST_IDENTITY_H

#include <stdint.h>

#include "lib/error.h"

struct host_identity {
    char boot_id[40];           /* one kernel since its start */
    uint64_t net_namespace;     /* the number in net:[4026531840] */
    char host_name[65];         /* of this container: the mount was made under the host's */
    char nfs4_unique_id[65];    /* parameter of the nfs module, one for the whole kernel */
    char nfs4_namespace_id[65]; /* of this network namespace; wins over the other */
};

/* root is "" or the folder that holds proc/ and sys/ of a test. */
int host_identity_read(const char *root, struct host_identity *ret_host, struct error *err);

#endif
