/*
 * reaction_rule: one entry of the setting on_change, GLOB=TARGET.
 *
 *     conf.d/app-*.yaml=http://127.0.0.1:8080/-/reload     a POST, to this host only
 *     /config/app.yaml=signal:HUP:nginx                    to a process that the sidecar can see
 *
 *     r = reaction_rule_parse(text, &settings->mounts, &rule, &err);
 *     if (reaction_rule_concerns(&rule, "/config", &change)) ...
 *
 * A GLOB (see lib/glob.h) that begins with '/' lies on the mount of that path, the longest that
 * fits; any other is tried on every mount, relative to it. What happens to a directory as a whole
 * (its delete, its rename, a resync) concerns every rule that could match something in it.
 *
 * Ownership: mount points into the settings. Threads: safe. Errors: -EINVAL with the entry in it.
 */
#ifndef SIDECAR_REACTION_RULE_H
#define SIDECAR_REACTION_RULE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/config.h"
#include "lib/error.h"
#include "lib/share/change.h"

enum { REACTION_PROCESS_MAX = 255, REACTION_HOST_MAX = 64 };

enum reaction_kind { REACTION_HTTP, REACTION_SIGNAL };

struct reaction_rule {
    char glob[CONFIG_TEXT_MAX];
    const char *mount; /* NULL: all */
    enum reaction_kind kind;
    /* REACTION_HTTP */
    struct sockaddr_storage address;
    socklen_t address_length;
    char host[REACTION_HOST_MAX], path[CONFIG_TEXT_MAX]; /* "127.0.0.1:8080", "/-/reload?x=1" */
    /* REACTION_SIGNAL */
    int signal_number;
    char process[REACTION_PROCESS_MAX + 1];
};

int reaction_rule_parse(const char *text, const struct mount_list *mounts,
                        struct reaction_rule *ret_rule, struct error *err);

bool reaction_rule_concerns(const struct reaction_rule *rule, const char *mount,
                            const struct change *change);

/* An address of this host's loopback interface, IPv4 or IPv6. */
bool reaction_is_loopback(const struct sockaddr_storage *address);

#endif
