#include "init/preflight_judge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"

const struct check *preflight_failure(const struct mount_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        if (report->checks[i].verdict == VERDICT_FAIL)
            return &report->checks[i];
    }
    return NULL;
}

/* What the mount would connect to and gets an answer from. */
static size_t count_good(const struct preflight_facts *facts)
{
    size_t n = 0;
    for (size_t i = 0; i < facts->n_addresses; i++) {
        const struct preflight_address *address = &facts->addresses[i];
        n += address->named && address->ping.result == NFS_PING_OK;
    }
    return n;
}

/* ---- where this is ---- */

static void judge_region(const struct preflight_facts *facts, struct mount_report *report)
{
    if (facts->region_source)
        report_add(report, "region", VERDICT_OK, "%s, by %s", facts->region, facts->region_source);
    else
        report_fail(report, "region", CAUSE_REGION_UNKNOWN, "%s",
                    facts->region_err.text[0] ? facts->region_err.text
                                              : "the task metadata endpoint did not answer");
}

static void judge_zone(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_answer *answer = &facts->metadata_answer;
    const char *by = facts->wish.zone[0] ? "--az" : "the task's metadata";
    if (facts->zone[0] || facts->zone_id[0])
        report_add(report, "zone", VERDICT_OK, "%s%s%s, by %s", facts->zone,
                   facts->zone[0] && facts->zone_id[0] ? ", " : "", facts->zone_id, by);
    else if (answer->state == PREFLIGHT_FAILED && answer->r == -ENOENT)
        report_add(report, "zone", VERDICT_SKIP, "not known outside of an ECS task; --az names it");
    else
        report_add(report, "zone", VERDICT_UNKNOWN, "not known, --az names it: %s",
                   answer->state == PREFLIGHT_FAILED     ? answer->err.text
                   : answer->state == PREFLIGHT_ANSWERED ? "the task's metadata does not say it"
                                                         : "the task's metadata came too late");
}

/* ---- names ---- */

static void list_addresses(const struct preflight_lookup *lookup, char *text, size_t size)
{
    char one[NFS_ADDRESS_TEXT];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < lookup->n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 nfs_address_text(&lookup->addresses[i], one));
}

static bool has_address(const struct preflight_lookup *lookup, const struct nfs_address *address)
{
    for (size_t i = 0; i < lookup->n; i++) {
        if (nfs_address_equal(&lookup->addresses[i], address))
            return true;
    }
    return false;
}

static bool same_addresses(const struct preflight_lookup *a, const struct preflight_lookup *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (!has_address(b, &a->addresses[i]))
            return false;
    }
    return a->n == b->n;
}

static bool found(const struct preflight_lookup *lookup)
{
    return lookup->answer.state == PREFLIGHT_ANSWERED && lookup->n > 0;
}

static const char *why_not(const struct preflight_lookup *lookup)
{
    return lookup->answer.state == PREFLIGHT_FAILED ? lookup->answer.err.text
           : lookup->answer.state == PREFLIGHT_LATE ? "the name servers do not answer"
                                                    : "the name has no address";
}

static void took(struct check *check, const struct preflight_answer *answer)
{
    check->took_us = answer->took_ms * 1000;
}

/* An address that is none of the file system's mount targets, or -1. */
static int stranger(const struct preflight_facts *facts)
{
    if (facts->targets_answer.state != PREFLIGHT_ANSWERED || facts->targets.more)
        return -1;
    for (size_t i = 0; i < facts->n_addresses; i++) {
        const struct preflight_address *address = &facts->addresses[i];
        if (address->named && address->target < 0)
            return (int)i;
    }
    return -1;
}

static void judge_found_name(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_lookup *plain = &facts->lookups[LOOKUP_PLAIN];
    char addresses[512], one[NFS_ADDRESS_TEXT];
    struct check *check;
    int other = stranger(facts);
    list_addresses(plain, addresses, sizeof(addresses));
    if (other < 0) {
        check = report_add(report, "name", VERDICT_OK, "%s is %s", plain->name, addresses);
    } else {
        check = report_add(report, "name", VERDICT_WARN,
                           "%s is %s, but %s is no mount target of %s", plain->name, addresses,
                           nfs_address_text(&facts->addresses[other].address, one),
                           facts->wish.file_system_id);
        report_fix(check, "Look for a record of that name in /etc/hosts, in a private hosted zone "
                          "or at the name servers of the VPC, and correct it.");
    }
    took(check, &plain->answer);
}

static void judge_name(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_lookup *plain = &facts->lookups[LOOKUP_PLAIN];
    const struct preflight_lookup *dot = &facts->lookups[LOOKUP_DOT];
    char addresses[512];
    if (plain->answer.state == PREFLIGHT_NOT_ASKED) {
        report_add(report, "name", VERDICT_SKIP, "no name to look up");
    } else if (found(plain)) {
        judge_found_name(facts, report);
    } else if (found(dot)) {
        struct check *check = report_add(report, "name", VERDICT_WARN,
                                         "%s, but there is %s: a search domain gets in the way",
                                         why_not(plain), dot->name);
        report_fix(check, "Remove the search domain from dnsSearchDomains of the container or "
                          "/etc/resolv.conf, or lower its ndots.");
        took(check, &plain->answer);
    } else {
        took(report_fail(report, "name", CAUSE_NAME_NOT_RESOLVED, "%s", why_not(plain)),
             &plain->answer);
    }
    if (dot->answer.state == PREFLIGHT_NOT_ASKED || (!found(plain) && !found(dot)))
        return;
    list_addresses(dot, addresses, sizeof(addresses));
    if (!found(dot)) /* as with /etc/hosts */
        report_add(report, "name-dot", VERDICT_WARN,
                   "%s: something other than the name servers of the VPC answers without the dot",
                   why_not(dot));
    else if (found(plain) && !same_addresses(plain, dot))
        report_add(report, "name-dot", VERDICT_WARN,
                   "%s is %s: a search domain or /etc/hosts answers without the dot", dot->name,
                   addresses);
    else
        report_add(report, "name-dot", VERDICT_OK, "%s is %s", dot->name, addresses);
}

static void judge_zone_name(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_lookup *zone = &facts->lookups[LOOKUP_ZONE];
    char addresses[512];
    if (zone->answer.state == PREFLIGHT_NOT_ASKED)
        return;
    list_addresses(zone, addresses, sizeof(addresses));
    if (found(zone))
        report_add(report, "name-zone", VERDICT_OK, "%s is %s", zone->name, addresses);
    else
        report_add(report, "name-zone", VERDICT_WARN,
                   "%s: EFS gives a name to each zone that has a mount target", why_not(zone));
}

/* ---- servers ---- */

static const enum cause cause_of[] = {
    [NFS_PING_OK] = CAUSE_NONE,
    [NFS_PING_LOOPBACK] = CAUSE_LOOPBACK_ADDRESS,
    [NFS_PING_REFUSED] = CAUSE_CONNECTION_REFUSED,
    [NFS_PING_TIMED_OUT] = CAUSE_CONNECTION_TIMED_OUT,
    [NFS_PING_UNREACHABLE] = CAUSE_NETWORK_UNREACHABLE,
    [NFS_PING_RESET] = CAUSE_CONNECTION_RESET,
    [NFS_PING_SILENT] = CAUSE_NO_NFS_SERVER,
    [NFS_PING_NOT_NFS] = CAUSE_NO_NFS_SERVER,
    [NFS_PING_ERROR] = CAUSE_UNEXPECTED,
};

/* "10.0.1.5 (fsmt-... in eu-west-1a)" */
static void put_place(const struct preflight_facts *facts, const struct preflight_address *address,
                      char *text, size_t size)
{
    char one[NFS_ADDRESS_TEXT];
    nfs_address_text(&address->address, one);
    if (address->target < 0) {
        snprintf(text, size, "%s", one);
        return;
    }
    const struct efs_mount_target *target = &facts->targets.items[address->target];
    snprintf(text, size, "%s (%s in %s)", one, target->id,
             target->availability_zone_name[0] ? target->availability_zone_name
                                               : target->availability_zone_id);
}

static void put_result(const struct preflight_facts *facts, const struct preflight_address *address,
                       char *text, size_t size)
{
    const struct nfs_ping *ping = &address->ping;
    char at[256];
    double took_s = (double)ping->took_us / 1e6;
    put_place(facts, address, at, sizeof(at));
    switch (ping->result) {
    case NFS_PING_OK:
        snprintf(text, size, "%s: connected after %.1f ms, answers as NFS 4 after %.1f ms", at,
                 (double)ping->connect_us / 1000, (double)ping->reply_us / 1000);
        break;
    case NFS_PING_LOOPBACK:
        snprintf(text, size, "%s is an address of this host itself: not connected", at);
        break;
    case NFS_PING_REFUSED:
        snprintf(text, size, "%s refuses connections to port %d", at, NFS_PORT);
        break;
    case NFS_PING_TIMED_OUT:
        snprintf(text, size, "%s does not answer on port %d within %.1f s", at, NFS_PORT, took_s);
        break;
    case NFS_PING_UNREACHABLE:
        snprintf(text, size, "%s cannot be reached from here: %s (%s)", at,
                 strerrordesc_np(ping->error), error_name(ping->error));
        break;
    case NFS_PING_RESET:
        snprintf(text, size, "%s %s", at,
                 ping->connect_us < 0 ? "resets the connection"
                                      : "accepts a connection and closes it at the first NFS call");
        break;
    case NFS_PING_SILENT:
        snprintf(text, size,
                 "%s accepts a connection to port %d, and does not answer an NFS call within "
                 "%.1f s",
                 at, NFS_PORT, took_s);
        break;
    case NFS_PING_NOT_NFS:
        snprintf(text, size, "%s accepts a connection to port %d, but %s", at, NFS_PORT,
                 ping->words);
        break;
    case NFS_PING_ERROR:
        snprintf(text, size, "%s: %s (%s)", at, strerrordesc_np(ping->error),
                 error_name(ping->error));
        break;
    }
}

/* The groups are those of one mount target; others usually have the same. */
static void fix_groups(const struct preflight_facts *facts, struct check *check)
{
    if (check->cause == CAUSE_CONNECTION_TIMED_OUT && facts->groups[0])
        report_fix(check,
                   "Let %s, the security groups of the mount target, accept TCP port %d from the "
                   "task's security group, let the task's group send there, and let the network "
                   "ACLs of both subnets pass it both ways.",
                   facts->groups, NFS_PORT);
}

static void judge_server(const struct preflight_facts *facts,
                         const struct preflight_address *address, struct mount_report *report)
{
    char text[640];
    enum cause cause = cause_of[address->ping.result];
    struct check *check;
    put_result(facts, address, text, sizeof(text));
    if (cause == CAUSE_NONE) {
        check = report_add(report, "server", VERDICT_OK, "%s", text);
        check->took_us = address->ping.reply_us;
        return;
    }
    if (address->named && count_good(facts) == 0) {
        check = report_fail(report, "server", cause, "%s", text);
    } else {
        check = report_add(report, "server", VERDICT_WARN, "%s%s", text,
                           address->named ? "" : ", but the name does not lead there");
        check->cause = cause;
        report_fix(check, "%s", cause_table[cause].fix);
    }
    fix_groups(facts, check);
}

static void judge_servers(const struct preflight_facts *facts, struct mount_report *report)
{
    for (size_t i = 0; i < facts->n_addresses; i++)
        judge_server(facts, &facts->addresses[i], report);
    if (facts->n_addresses == 0)
        report_add(report, "server", VERDICT_SKIP, "there is no address to connect to");
    if (facts->n_more > 0)
        report_add(report, "server", VERDICT_WARN, "%zu more addresses were not tried",
                   facts->n_more);
}

void preflight_judge(const struct preflight_facts *facts, struct mount_report *report)
{
    if (facts->wish.file_system_id[0]) { /* nothing else needs them */
        judge_region(facts, report);
        judge_zone(facts, report);
    }
    preflight_judge_file_system(facts, report);
    preflight_judge_targets(facts, report);
    if (!facts->wish.has_address)
        judge_name(facts, report);
    judge_zone_name(facts, report);
    judge_servers(facts, report);
    preflight_judge_access(facts, report);
}
