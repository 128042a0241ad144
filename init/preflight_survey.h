/*
 * preflight_survey: find out, all at once and until one deadline, what a mount from here will meet.
 *
 *     struct preflight_facts *facts;
 *     r = preflight_survey(&wish, &facts, &err);
 *     ... preflight_judge() ...
 *
 * Each question has an answer of its own, which tells whether and how it was answered: one that
 * hangs takes nothing from the others. Questions are asked as soon as what they need is known: the
 * name when the region is, a connection when an address is. Questions that block run in a work
 * pool; connections are on the calling thread's poll.
 *
 * Ownership: the facts stay allocated, together with what still hangs: this is for a process that
 * prints them and exits. Threads: the caller's only. Errors: no facts at all, because there is no
 * memory or there are no threads.
 */
#ifndef INIT_PREFLIGHT_SURVEY_H
#define INIT_PREFLIGHT_SURVEY_H

#include "init/nfs_ping.h"
#include "lib/aws/efs.h"
#include "lib/aws/metadata.h"

enum {
    PREFLIGHT_NAME = 256,
    PREFLIGHT_ZONE = 64,
    PREFLIGHT_ADDRESSES_MAX = 12, /* more are counted and not tried */
    PREFLIGHT_GROUPS = 256,
};

/* What to look at. Everything is "" when it was not said. */
struct preflight_wish {
    char file_system_id[EFS_ID];
    char name[PREFLIGHT_NAME]; /* a DNS name instead of or beside the id */
    bool has_address;
    struct nfs_address address; /* an IP address instead of both */
    char access_point[EFS_ID];
    char region[ENDPOINT_REGION];
    const char *region_by;           /* where it comes from: "--region" */
    char zone[PREFLIGHT_ZONE];       /* name or id of an availability zone */
    int64_t deadline_ms, connect_ms; /* both from the start */
};

enum preflight_state {
    PREFLIGHT_NOT_ASKED, /* what it needs did not become known */
    PREFLIGHT_ASKING,
    PREFLIGHT_ANSWERED,
    PREFLIGHT_FAILED, /* r and err say why */
    PREFLIGHT_LATE,   /* no answer until the deadline */
};

struct preflight_answer {
    enum preflight_state state;
    int r;
    struct error err;
    int64_t started_ms, took_ms;
};

/* Forms of the name: as it is, with a dot behind it, with the zone before it. */
enum { LOOKUP_PLAIN, LOOKUP_DOT, LOOKUP_ZONE, LOOKUPS };

struct preflight_lookup {
    struct preflight_answer answer;
    char name[PREFLIGHT_NAME];
    size_t n;
    struct nfs_address addresses[PREFLIGHT_ADDRESSES_MAX];
};

struct preflight_address {
    struct nfs_address address;
    bool named; /* a mount by the name, or by this address, goes here */
    int target; /* index of its mount target, or -1 */
    struct nfs_ping ping;
};

struct preflight_facts {
    struct preflight_wish wish;
    int64_t started_ms, deadline_ms, took_ms; /* the first two on clock_now_ms() */
    const char *region_source;                /* NULL: not known, region_err says why */
    struct error region_err;
    char region[ENDPOINT_REGION], zone[PREFLIGHT_ZONE], zone_id[PREFLIGHT_ZONE];

    struct preflight_answer metadata_answer;
    struct metadata metadata;
    struct preflight_answer credentials_answer;
    char credentials_source[32]; /* "": there is none */
    char role_arn[512];
    struct preflight_answer file_system_answer;
    struct efs_file_system file_system;
    struct preflight_answer targets_answer;
    struct efs_mount_targets targets;
    struct preflight_answer groups_answer; /* of the mount target in this zone, else of the first */
    char groups[PREFLIGHT_GROUPS];         /* "sg-1, sg-2" */
    struct preflight_answer point_answer;
    struct efs_access_point point;
    struct preflight_answer policy_answer;
    char *policy; /* NULL: there is none */

    struct preflight_lookup lookups[LOOKUPS];
    size_t n_addresses, n_more;
    struct preflight_address addresses[PREFLIGHT_ADDRESSES_MAX];
};

int preflight_survey(const struct preflight_wish *wish, struct preflight_facts **ret_facts,
                     struct error *err);

/* The mount target in this zone, or -1. */
int preflight_own_target(const struct preflight_facts *facts);

#endif
