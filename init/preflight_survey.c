#include "init/preflight_survey.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/preflight_ask.h"
#include "lib/aws/credential_sources.h"
#include "lib/clock.h"
#include "lib/work_pool.h"

enum { THREADS = 10, QUEUE_MAX = 32, CLOSE_MS = 50 };

struct survey {
    struct preflight_facts *facts;
    struct work_pool *pool;
    struct aws_client client;
};

/* Is the mount target in the zone that the facts name? false when no zone is known. */
static bool in_zone(const struct preflight_facts *facts, const struct efs_mount_target *target)
{
    /* Names of zones differ between accounts, ids do not. */
    if (facts->zone_id[0] && target->availability_zone_id[0])
        return strcmp(facts->zone_id, target->availability_zone_id) == 0;
    return facts->zone[0] && strcmp(facts->zone, target->availability_zone_name) == 0;
}

int preflight_own_target(const struct preflight_facts *facts)
{
    for (size_t i = 0; i < facts->targets.n; i++) {
        if (in_zone(facts, &facts->targets.items[i]))
            return (int)i;
    }
    return -1;
}

/* ---- connections ---- */

static void add_address(struct preflight_facts *facts, const struct nfs_address *address,
                        bool named, int target)
{
    struct preflight_address *slot = NULL;
    for (size_t i = 0; i < facts->n_addresses && !slot; i++) {
        if (nfs_address_equal(&facts->addresses[i].address, address))
            slot = &facts->addresses[i];
    }
    if (!slot) {
        if (facts->n_addresses == PREFLIGHT_ADDRESSES_MAX) {
            facts->n_more++;
            return;
        }
        slot = &facts->addresses[facts->n_addresses++];
        *slot = (struct preflight_address){.address = *address, .target = -1};
        nfs_ping_start(&slot->ping, address, facts->wish.connect_ms, facts->deadline_ms);
    }
    slot->named |= named;
    if (target >= 0)
        slot->target = target;
}

/* A mount takes the name as it is, and with the dot only when that has no address. */
static bool leads_there(const struct preflight_facts *facts, size_t form)
{
    const struct preflight_lookup *plain = &facts->lookups[LOOKUP_PLAIN];
    bool none = plain->answer.state > PREFLIGHT_ASKING && plain->n == 0;
    return form == LOOKUP_PLAIN || (form == LOOKUP_DOT && none);
}

static void take_addresses(struct preflight_facts *facts)
{
    struct nfs_address address;
    facts->n_more = 0;
    for (size_t form = 0; form < LOOKUPS; form++) {
        bool named = leads_there(facts, form);
        for (size_t i = 0; i < facts->lookups[form].n; i++)
            add_address(facts, &facts->lookups[form].addresses[i], named, -1);
    }
    for (size_t i = 0; i < facts->targets.n; i++) {
        const struct efs_mount_target *target = &facts->targets.items[i];
        if (nfs_address_parse(target->ipv4, &address))
            add_address(facts, &address, false, (int)i);
        if (target->ipv6[0] && nfs_address_parse(target->ipv6, &address))
            add_address(facts, &address, false, (int)i);
    }
}

/* ---- questions ---- */

static void ask(struct survey *survey, enum preflight_question question, const char *about,
                struct preflight_answer *answer)
{
    preflight_ask(survey->pool, question, survey->facts, &survey->client, about, answer);
}

/* The name of a file system contains its region; else the variables, else the task's ARN. */
static void find_region(struct preflight_facts *facts)
{
    const char *arn = facts->metadata.task_arn;
    if (facts->region_source)
        return;
    if (facts->wish.region[0]) {
        snprintf(facts->region, sizeof(facts->region), "%s", facts->wish.region);
        facts->region_source = facts->wish.region_by;
        return;
    }
    int r = endpoint_region(NULL, facts->region, &facts->region_err);
    if (r == 0)
        facts->region_source = "AWS_REGION";
    else if (r == -ENOENT && arn[0] && endpoint_region(arn, facts->region, &facts->region_err) == 0)
        facts->region_source = "the task's ARN";
}

static void take_zone(struct preflight_facts *facts)
{
    if (facts->zone[0] || facts->zone_id[0])
        return;
    const char *said = facts->wish.zone;
    const char *dash = strchr(said, '-');
    if (dash && strstr(dash, "-az")) /* "euw1-az2"; names are like "eu-west-1b" */
        snprintf(facts->zone_id, sizeof(facts->zone_id), "%s", said);
    else if (said[0])
        snprintf(facts->zone, sizeof(facts->zone), "%s", said);
    else if (facts->metadata_answer.state == PREFLIGHT_ANSWERED) {
        snprintf(facts->zone, sizeof(facts->zone), "%s", facts->metadata.availability_zone);
        snprintf(facts->zone_id, sizeof(facts->zone_id), "%s",
                 facts->metadata.availability_zone_id);
    }
}

static void look_up(struct survey *survey, int form, const char *prefix, const char *suffix)
{
    struct preflight_facts *facts = survey->facts;
    struct preflight_lookup *lookup = &facts->lookups[form];
    char name[PREFLIGHT_NAME];
    if (lookup->answer.state != PREFLIGHT_NOT_ASKED)
        return;
    const char *given = facts->wish.name;
    int n = given[0] ? snprintf(name, sizeof(name), "%s%s%s", prefix, given, suffix)
                     : snprintf(name, sizeof(name), "%s%s.efs.%s.%s%s", prefix,
                                facts->wish.file_system_id, facts->region,
                                endpoint_domain(facts->region), suffix);
    if (n >= (int)sizeof(name))
        return;
    memcpy(lookup->name, name, sizeof(name));
    ask(survey, PREFLIGHT_ASK_NAME, name, &lookup->answer);
}

static void look_up_names(struct survey *survey)
{
    struct preflight_facts *facts = survey->facts;
    char prefix[PREFLIGHT_ZONE + 1];
    if (facts->wish.has_address || (!facts->wish.name[0] && !facts->region_source))
        return;
    size_t length = strlen(facts->wish.name);
    look_up(survey, LOOKUP_PLAIN, "", "");
    if (length == 0 || facts->wish.name[length - 1] != '.')
        look_up(survey, LOOKUP_DOT, "", ".");
    /* A name with a zone, or of something else, is asked for as it is. */
    if (!facts->wish.name[0] && facts->zone[0]) {
        snprintf(prefix, sizeof(prefix), "%s.", facts->zone);
        look_up(survey, LOOKUP_ZONE, prefix, "");
    }
}

static void ask_efs(struct survey *survey)
{
    struct preflight_facts *facts = survey->facts;
    const char *id = facts->wish.file_system_id;
    if (!id[0] || !facts->region_source)
        return;
    if (!survey->client.region[0])
        memcpy(survey->client.region, facts->region, sizeof(survey->client.region));
    const struct credential_source *source = credential_source_find();
    if (source)
        snprintf(facts->credentials_source, sizeof(facts->credentials_source), "%s", source->name);
    ask(survey, PREFLIGHT_ASK_CREDENTIALS, "", &facts->credentials_answer);
    if (facts->credentials_answer.state != PREFLIGHT_ANSWERED)
        return;
    ask(survey, PREFLIGHT_ASK_FILE_SYSTEM, id, &facts->file_system_answer);
    ask(survey, PREFLIGHT_ASK_TARGETS, id, &facts->targets_answer);
    ask(survey, PREFLIGHT_ASK_POLICY, id, &facts->policy_answer);
    if (facts->wish.access_point[0])
        ask(survey, PREFLIGHT_ASK_POINT, facts->wish.access_point, &facts->point_answer);
    if (facts->targets_answer.state == PREFLIGHT_ANSWERED && facts->targets.n > 0) {
        int own = preflight_own_target(facts);
        ask(survey, PREFLIGHT_ASK_GROUPS, facts->targets.items[own < 0 ? 0 : own].id,
            &facts->groups_answer);
    }
}

/* Ask what can be asked by now, and has not been. */
static void advance(struct survey *survey)
{
    struct preflight_facts *facts = survey->facts;
    ask(survey, PREFLIGHT_ASK_METADATA, "", &facts->metadata_answer);
    find_region(facts);
    take_zone(facts);
    look_up_names(survey);
    ask_efs(survey);
    take_addresses(facts);
}

static bool answers_pending(const struct preflight_facts *facts)
{
    const struct preflight_answer *answers[] = {
        &facts->metadata_answer,
        &facts->credentials_answer,
        &facts->file_system_answer,
        &facts->targets_answer,
        &facts->groups_answer,
        &facts->point_answer,
        &facts->policy_answer,
        &facts->lookups[LOOKUP_PLAIN].answer,
        &facts->lookups[LOOKUP_DOT].answer,
        &facts->lookups[LOOKUP_ZONE].answer,
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (answers[i]->state == PREFLIGHT_ASKING)
            return true;
    }
    return false;
}

/* Until something has happened. false: everything has. */
static bool wait_for_more(struct survey *survey)
{
    struct preflight_facts *facts = survey->facts;
    struct pollfd fds[PREFLIGHT_ADDRESSES_MAX + 1];
    bool pending = answers_pending(facts);
    int64_t next_ms = CLOCK_NEVER;
    for (size_t i = 0; i < facts->n_addresses; i++) {
        const struct nfs_ping *ping = &facts->addresses[i].ping;
        fds[i] = (struct pollfd){.fd = ping->fd, .events = nfs_ping_events(ping)};
        if (ping->state == NFS_PING_ENDED)
            continue;
        pending = true;
        next_ms = ping->deadline_ms < next_ms ? ping->deadline_ms : next_ms;
    }
    if (!pending)
        return false;
    fds[facts->n_addresses] = (struct pollfd){.fd = work_pool_fd(survey->pool), .events = POLLIN};
    (void)poll(fds, facts->n_addresses + 1, clock_poll_timeout(next_ms));
    for (size_t i = 0; i < facts->n_addresses; i++) {
        if (facts->addresses[i].ping.state != NFS_PING_ENDED)
            nfs_ping_step(&facts->addresses[i].ping);
    }
    work_pool_dispatch(survey->pool);
    return true;
}

int preflight_survey(const struct preflight_wish *wish, struct preflight_facts **ret_facts,
                     struct error *err)
{
    /* Threads that hang use both when this function has returned. */
    static struct survey survey;
    survey.facts = calloc(1, sizeof(*survey.facts));
    if (!survey.facts)
        return error_set_errno(err, ENOMEM, "preflight");
    struct preflight_facts *facts = survey.facts;
    facts->wish = *wish;
    facts->started_ms = clock_now_ms();
    facts->deadline_ms = facts->started_ms + wish->deadline_ms;
    int r = credentials_store_open(&survey.client.credentials);
    if (r == 0)
        r = work_pool_open("preflight", THREADS, QUEUE_MAX, &survey.pool);
    if (r < 0)
        return error_set_errno(err, -r, "preflight cannot start");
    if (wish->has_address)
        add_address(facts, &wish->address, true, -1);
    do
        advance(&survey);
    while (wait_for_more(&survey));
    if (work_pool_close(survey.pool, CLOSE_MS) == 0)
        credentials_store_close(survey.client.credentials);
    facts->took_ms = clock_now_ms() - facts->started_ms;
    *ret_facts = facts;
    return 0;
}
