#include "init/nfs_ping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"

const char *const nfs_ping_result_names[] = {
    [NFS_PING_OK] = "ok",
    [NFS_PING_LOOPBACK] = "loopback",
    [NFS_PING_REFUSED] = "refused",
    [NFS_PING_TIMED_OUT] = "timed out",
    [NFS_PING_UNREACHABLE] = "unreachable",
    [NFS_PING_RESET] = "reset",
    [NFS_PING_SILENT] = "silent",
    [NFS_PING_NOT_NFS] = "not NFS",
    [NFS_PING_ERROR] = "error",
};

/* ---- addresses ---- */

bool nfs_address_from(const struct sockaddr *address, struct nfs_address *ret_address)
{
    struct nfs_address copy = {0};
    if (address->sa_family == AF_INET) {
        memcpy(&copy.v4, address, sizeof(copy.v4));
        copy.v4.sin_port = htons(NFS_PORT);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&copy.v6, address, sizeof(copy.v6));
        copy.v6.sin6_port = htons(NFS_PORT);
    } else {
        return false;
    }
    *ret_address = copy;
    return true;
}

bool nfs_address_parse(const char *text, struct nfs_address *ret_address)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;
    struct in_addr v4;
    /* inet_aton() takes "10" and "0x7f.1", which people who write an address do not mean. */
    if (!strchr(text, ':') && inet_pton(AF_INET, text, &v4) != 1)
        return false;
    if (getaddrinfo(text, NULL, &hints, &found) != 0)
        return false;
    bool good = nfs_address_from(found->ai_addr, ret_address);
    freeaddrinfo(found);
    return good;
}

bool nfs_address_equal(const struct nfs_address *a, const struct nfs_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
           a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

const char *nfs_address_text(const struct nfs_address *address, char *buf)
{
    char text[INET6_ADDRSTRLEN] = "?";
    bool v4 = address->any.sa_family == AF_INET;
    (void)inet_ntop(address->any.sa_family,
                    v4 ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr, text,
                    sizeof(text));
    if (!v4 && address->v6.sin6_scope_id)
        snprintf(buf, NFS_ADDRESS_TEXT, "%s%%%u", text, address->v6.sin6_scope_id);
    else
        snprintf(buf, NFS_ADDRESS_TEXT, "%s", text);
    return buf;
}

/* 127.0.0.0/8; and 0.0.0.0, which Linux connects to itself. */
static bool v4_is_loopback(uint32_t network_order)
{
    uint32_t host_order = ntohl(network_order);
    return host_order >> 24 == 127 || host_order == 0;
}

bool nfs_address_is_loopback(const struct nfs_address *address)
{
    if (address->any.sa_family == AF_INET)
        return v4_is_loopback(address->v4.sin_addr.s_addr);
    const struct in6_addr *v6 = &address->v6.sin6_addr;
    uint32_t low;
    memcpy(&low, &v6->s6_addr[12], sizeof(low));
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return v4_is_loopback(low);
    return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_UNSPECIFIED(v6);
}

/* ---- ONC RPC, RFC 5531: numbers of 32 bits, most significant byte first ---- */

enum {
    RPC_LAST_FRAGMENT = 1U << 31,
    RPC_VERSION = 2,
    RPC_REPLY = 1,
    RPC_AUTH_MAX_BYTES = 400,
    NFS_PROGRAM = 100003,
    NFS_VERSION = 4,
};

enum { RPC_ACCEPTED, RPC_DENIED };
enum { RPC_SUCCESS, RPC_PROGRAM_UNAVAILABLE, RPC_PROGRAM_MISMATCH };

static uint32_t word(const uint8_t *bytes, size_t i)
{
    uint32_t value;
    memcpy(&value, bytes + 4 * i, sizeof(value));
    return ntohl(value);
}

void nfs_call_encode(uint32_t xid, uint8_t ret_call[NFS_CALL_BYTES])
{
    /* record mark; xid, call, RPC version, program, version, procedure 0; no credentials and no
     * verifier, each with a length of 0 */
    const uint32_t words[NFS_CALL_BYTES / 4] = {
        RPC_LAST_FRAGMENT | (NFS_CALL_BYTES - 4), xid, 0, RPC_VERSION, NFS_PROGRAM, NFS_VERSION};
    for (size_t i = 0; i < NFS_CALL_BYTES / 4; i++) {
        uint32_t value = htonl(words[i]);
        memcpy(ret_call + 4 * i, &value, sizeof(value));
    }
}

const char *nfs_reply_check(uint32_t xid, const uint8_t *bytes, size_t n, bool *ret_more)
{
    enum { MARK, XID, DIRECTION, ACCEPTED, FLAVOR, AUTH_BYTES, HEAD };
    static const char not_rpc[] = "what answers is no RPC server";
    uint32_t record = n >= 4 ? word(bytes, MARK) : 0;

    *ret_more = false;
    if (n >= 4 && (!(record & RPC_LAST_FRAGMENT) || (record & ~RPC_LAST_FRAGMENT) < 4 * 4 ||
                   (record & ~RPC_LAST_FRAGMENT) > NFS_REPLY_MAX - 4))
        return not_rpc;
    if ((n >= 8 && word(bytes, XID) != xid) || (n >= 12 && word(bytes, DIRECTION) != RPC_REPLY))
        return not_rpc;
    if (n < 4 || n < 4 + (record & ~RPC_LAST_FRAGMENT)) {
        *ret_more = true;
        return NULL;
    }
    size_t n_words = (record & ~RPC_LAST_FRAGMENT) / 4 + 1;
    if (word(bytes, ACCEPTED) != RPC_ACCEPTED)
        return "an RPC server answers and refuses the call";
    if (n_words <= HEAD || word(bytes, AUTH_BYTES) > RPC_AUTH_MAX_BYTES ||
        HEAD + (word(bytes, AUTH_BYTES) + 3) / 4 >= n_words)
        return not_rpc;
    switch (word(bytes, HEAD + (word(bytes, AUTH_BYTES) + 3) / 4)) {
    case RPC_SUCCESS:
        return NULL;
    case RPC_PROGRAM_UNAVAILABLE:
        return "an RPC server answers, but not one of NFS";
    case RPC_PROGRAM_MISMATCH:
        return "an NFS server answers that does not speak version 4";
    default:
        return "an RPC server answers with an error";
    }
}

/* ---- one ping ---- */

static void end(struct nfs_ping *ping, enum nfs_ping_result result, int error)
{
    nfs_ping_stop(ping);
    ping->result = result;
    ping->took_us = clock_now_us() - ping->started_us;
    ping->error = error;
}

static void fail_with(struct nfs_ping *ping, int error)
{
    bool connected = ping->state > NFS_PING_CONNECTING;
    switch (error) {
    case ECONNREFUSED:
        end(ping, NFS_PING_REFUSED, error);
        break;
    case ECONNRESET:
    case EPIPE:
        end(ping, NFS_PING_RESET, error);
        break;
    case ETIMEDOUT:
        end(ping, connected ? NFS_PING_SILENT : NFS_PING_TIMED_OUT, error);
        break;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL: /* no address of this family on this host */
    case EAFNOSUPPORT:
    case EACCES: /* a route of type prohibit, or a firewall of this host */
    case EPERM:
        end(ping, NFS_PING_UNREACHABLE, error);
        break;
    default:
        end(ping, NFS_PING_ERROR, error);
    }
}

void nfs_ping_start(struct nfs_ping *ping, const struct nfs_address *address, int64_t connect_ms,
                    int64_t deadline_ms)
{
    *ping = (struct nfs_ping){.fd = -1,
                              .started_us = clock_now_us(),
                              .connect_us = -1,
                              .reply_us = -1,
                              .xid = arc4random()};
    ping->deadline_ms = clock_sooner(clock_now_ms() + connect_ms, deadline_ms);
    ping->last_ms = clock_sooner(ping->deadline_ms + connect_ms, deadline_ms);
    if (nfs_address_is_loopback(address)) {
        end(ping, NFS_PING_LOOPBACK, 0);
        return;
    }
    bool v4 = address->any.sa_family == AF_INET;
    ping->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ping->fd < 0 ||
        (connect(ping->fd, &address->any, v4 ? sizeof(address->v4) : sizeof(address->v6)) < 0 &&
         errno != EINPROGRESS))
        fail_with(ping, errno);
}

short nfs_ping_events(const struct nfs_ping *ping)
{
    return ping->state == NFS_PING_READING ? POLLIN : POLLOUT;
}

static void finish_connect(struct nfs_ping *ping)
{
    struct pollfd writable = {.fd = ping->fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);
    if (poll(&writable, 1, 0) != 1)
        return;
    (void)getsockopt(ping->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail_with(ping, error);
        return;
    }
    ping->connect_us = clock_now_us() - ping->started_us;
    ping->deadline_ms = ping->last_ms;
    ping->state = NFS_PING_SENDING;
}

static void send_call(struct nfs_ping *ping)
{
    uint8_t call[NFS_CALL_BYTES];
    nfs_call_encode(ping->xid, call);
    ssize_t n = send(ping->fd, call + ping->n_sent, sizeof(call) - ping->n_sent, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail_with(ping, errno);
        return;
    }
    ping->n_sent += (size_t)n;
    if (ping->n_sent == sizeof(call))
        ping->state = NFS_PING_READING;
}

static void read_reply(struct nfs_ping *ping)
{
    bool more = true;
    while (more) {
        ssize_t n =
            recv(ping->fd, ping->reply + ping->n_read, sizeof(ping->reply) - ping->n_read, 0);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                fail_with(ping, errno == ECONNREFUSED ? ECONNRESET : errno);
            return;
        }
        if (n == 0) {
            end(ping, NFS_PING_RESET, 0);
            return;
        }
        ping->n_read += (size_t)n;
        ping->words = nfs_reply_check(ping->xid, ping->reply, ping->n_read, &more);
    }
    ping->reply_us = clock_now_us() - ping->started_us;
    end(ping, ping->words ? NFS_PING_NOT_NFS : NFS_PING_OK, 0);
}

void nfs_ping_step(struct nfs_ping *ping)
{
    if (ping->state == NFS_PING_CONNECTING)
        finish_connect(ping);
    if (ping->state == NFS_PING_SENDING)
        send_call(ping);
    if (ping->state == NFS_PING_READING)
        read_reply(ping);
    if (ping->state < NFS_PING_ENDED && clock_now_ms() >= ping->deadline_ms)
        fail_with(ping, ETIMEDOUT);
}

void nfs_ping_stop(struct nfs_ping *ping)
{
    if (ping->fd >= 0)
        close(ping->fd);
    ping->fd = -1;
    ping->state = NFS_PING_ENDED;
}
