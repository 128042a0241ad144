/*
 * nfs_ping: does an NFS server answer at this address? A TCP connection, then the NULL call of
 * NFSv4 over it, which every NFS server answers and which changes nothing.
 *
 *     struct nfs_ping ping;
 *     nfs_ping_start(&ping, &address, connect_ms, deadline_ms);
 *     while (ping.state < NFS_PING_ENDED)
 *         poll(ping.fd for nfs_ping_events(&ping), until ping.deadline_ms), nfs_ping_step(&ping);
 *     ... ping.result ...
 *     nfs_ping_stop(&ping);
 *
 * Addresses of this host are refused without a packet: behind a loopback address stands, if
 * anything, the efs-utils proxy, and it serves one connection at a time. One that a probe holds is
 * one that the kernel's mount waits for.
 *
 * Nothing blocks. Ownership: a ping owns its socket until it has ended. Threads: one per ping.
 */
#ifndef INIT_NFS_PING_H
#define INIT_NFS_PING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NFS_PORT = 2049, NFS_CALL_BYTES = 44, NFS_REPLY_MAX = 512, NFS_ADDRESS_TEXT = 64 };

struct nfs_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

enum nfs_ping_result {
    NFS_PING_OK,
    NFS_PING_LOOPBACK,    /* never connected */
    NFS_PING_REFUSED,     /* there is a host, and nothing listens */
    NFS_PING_TIMED_OUT,   /* no answer to the connection */
    NFS_PING_UNREACHABLE, /* no route, or a router says so */
    NFS_PING_RESET,       /* connected, then closed by the other end */
    NFS_PING_SILENT,      /* connected, and no answer to the call */
    NFS_PING_NOT_NFS,     /* something else answered, or an NFS server without version 4 */
    NFS_PING_ERROR,       /* anything else: error is the errno */
};

extern const char *const nfs_ping_result_names[];

enum nfs_ping_state { NFS_PING_CONNECTING, NFS_PING_SENDING, NFS_PING_READING, NFS_PING_ENDED };

struct nfs_ping {
    enum nfs_ping_state state;
    enum nfs_ping_result result;
    int error;         /* errno behind the result, or 0 */
    const char *words; /* what was wrong with the answer, for NFS_PING_NOT_NFS */
    int fd;
    int64_t deadline_ms, last_ms; /* of this state, of all */
    int64_t started_us;
    int64_t connect_us, reply_us; /* -1: did not come so far */
    int64_t took_us;              /* of all, when it has ended */
    uint32_t xid;
    size_t n_sent, n_read;
    uint8_t reply[NFS_REPLY_MAX];
};

/* An IP address as text; false if it is none. */
bool nfs_address_parse(const char *text, struct nfs_address *ret_address);

/* The same socket address with the port of NFS; false for other families. */
bool nfs_address_from(const struct sockaddr *address, struct nfs_address *ret_address);
bool nfs_address_equal(const struct nfs_address *a, const struct nfs_address *b);

/* "10.0.1.5", "fe80::1%2"; returns buf of NFS_ADDRESS_TEXT bytes. */
const char *nfs_address_text(const struct nfs_address *address, char *buf);

/* Does a connection to it stay on this host? */
bool nfs_address_is_loopback(const struct nfs_address *address);

/* connect_ms for the connection and as much again for the answer, both cut at deadline_ms. */
void nfs_ping_start(struct nfs_ping *ping, const struct nfs_address *address, int64_t connect_ms,
                    int64_t deadline_ms);
short nfs_ping_events(const struct nfs_ping *ping);

/* What the socket allows by now; ends the ping when its deadline has passed. */
void nfs_ping_step(struct nfs_ping *ping);
void nfs_ping_stop(struct nfs_ping *ping);

/* ---- for tests ---- */

void nfs_call_encode(uint32_t xid, uint8_t ret_call[NFS_CALL_BYTES]);

/* NULL: an NFS server of version 4 answered; else what is wrong with these bytes. More bytes are
 * needed when *ret_more is set. */
const char *nfs_reply_check(uint32_t xid, const uint8_t *bytes, size_t n, bool *ret_more);

#endif
