#include "init/preflight.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init/preflight_judge.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"

static const char usage[] =
    "usage: efs-init preflight [options] FILE_SYSTEM_ID | DNS_NAME | IP_ADDRESS\n"
    "\n"
    "Why a mount from here would fail, without mounting anything: run it as a task that has the\n"
    "network, the subnets and the role of the one that fails, and no volume.\n"
    "\n"
    "  --access-point=ID    the access point that the volume names (fsap-...)\n"
    "  --az=ZONE            the availability zone, by name or id [the task's]\n"
    "  --region=REGION      [AWS_REGION, else the task's]\n"
    "  --deadline=TIME      when to give up [20s]\n"
    "  --connect-timeout=TIME  for one connection [5s]\n"
    "  --format=text|json   for people on stderr, or for programs on stdout, too [text]\n"
    "  --help\n"
    "\n"
    "Exit codes: 0 a mount should work; else the code of the first failure's cause, see\n"
    "efs-init --help.\n";

/* ---- what to look at ---- */

/* How long the id is that text begins with, 0 for none: "fs-0123456789abcdef0". */
static size_t id_length(const char *text, const char *prefix)
{
    size_t skip = strlen(prefix);
    if (strncmp(text, prefix, skip) != 0)
        return 0;
    size_t digits = strspn(text + skip, "0123456789abcdef");
    return digits >= 8 && digits <= 40 ? skip + digits : 0;
}

static bool is_id(const char *text, const char *prefix)
{
    size_t length = id_length(text, prefix);
    return length > 0 && text[length] == '\0';
}

/* An option goes before it. */
static void take_region(struct preflight_wish *wish, const char *region, size_t length,
                        const char *by)
{
    if (wish->region_by)
        return;
    snprintf(wish->region, sizeof(wish->region), "%.*s", (int)length, region);
    wish->region_by = by;
}

/* "fs-....efs.REGION.DOMAIN", perhaps with "ZONE." before it: then id, region and zone. */
static void read_efs_name(const char *name, struct preflight_wish *wish)
{
    const char *dot = strchr(name, '.');
    const char *id = id_length(name, "fs-") > 0 ? name : dot ? dot + 1 : "";
    size_t length = id_length(id, "fs-");
    if (length == 0 || strncmp(id + length, ".efs.", 5) != 0)
        return;
    const char *region = id + length + 5;
    size_t region_length = strcspn(region, ".");
    if (region_length == 0 || region_length >= sizeof(wish->region))
        return;
    snprintf(wish->file_system_id, sizeof(wish->file_system_id), "%.*s", (int)length, id);
    take_region(wish, region, region_length, "the name");
    if (id != name && !wish->zone[0])
        snprintf(wish->zone, sizeof(wish->zone), "%.*s", (int)(dot - name), name);
}

/* arn:aws:elasticfilesystem:REGION:ACCOUNT:file-system/fs-... */
static bool read_arn(const char *arn, struct preflight_wish *wish)
{
    int skipped = 0;
    char region[ENDPOINT_REGION];
    if (sscanf(arn, "arn:%*[a-z-]:elasticfilesystem:%63[a-z0-9-]:%*[0-9]:file-system/%n", region,
               &skipped) != 1 ||
        skipped == 0 || !is_id(arn + skipped, "fs-"))
        return false;
    take_region(wish, region, strlen(region), "the ARN");
    snprintf(wish->file_system_id, sizeof(wish->file_system_id), "%s", arn + skipped);
    return true;
}

static bool is_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(text);
    if (length == 0 || length > 253 || strspn(text, letters) != length || strchr("-.", text[0]))
        return false;
    /* More likely an id or an address with a typing error: */
    const char *last = strrchr(text, '.');
    last = last ? last + 1 : text;
    bool number = last[0] && last[strspn(last, "0123456789")] == '\0';
    return !number && (strncmp(text, "fs-", 3) != 0 || strchr(text, '.'));
}

int preflight_parse_target(const char *target, struct preflight_wish *wish, struct error *err)
{
    if (nfs_address_parse(target, &wish->address)) {
        wish->has_address = true;
    } else if (is_id(target, "fs-")) {
        snprintf(wish->file_system_id, sizeof(wish->file_system_id), "%s", target);
    } else if (is_name(target)) {
        snprintf(wish->name, sizeof(wish->name), "%s", target);
        read_efs_name(target, wish);
    } else if (!read_arn(target, wish)) {
        return error_set(err, EINVAL,
                         "\"%.100s\" is no file system id (fs-0123456789abcdef0), DNS name or IP "
                         "address",
                         target);
    }
    return 0;
}

/* ---- the answer ---- */

static void print_checks(const struct mount_report *report, const struct check *failure)
{
    for (size_t i = 0; i < report->n; i++) {
        const struct check *check = &report->checks[i];
        bool with_fix = check->fix[0] && check != failure; /* the answer has that one's */
        fprintf(stderr, "efs-init preflight: %-7s %-9s %s%s%s\n",
                report_verdict_name(check->verdict), check->id, check->message,
                with_fix ? ". " : "", with_fix ? check->fix : "");
    }
}

static size_t count(const struct mount_report *report, enum verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < report->n; i++)
        n += report->checks[i].verdict == verdict;
    return n;
}

static void print_answer(const struct preflight_facts *facts, const struct mount_report *report,
                         const struct check *failure)
{
    size_t others = count(report, VERDICT_FAIL), warnings = count(report, VERDICT_WARN);
    if (failure) {
        const struct cause_info *cause = &cause_table[failure->cause];
        fprintf(stderr, "efs-init preflight: NOT READY (%s, exit %d): %s. %s", cause->name,
                cause->exit_code, failure->message, failure->fix);
        if (others > 1)
            fprintf(stderr, " Failures: %zu, see the lines above.", others);
    } else {
        fprintf(stderr, "efs-init preflight: ready after %lld ms: an NFS server answers",
                (long long)facts->took_ms);
        if (warnings > 0)
            fprintf(stderr, ", %zu warning%s above", warnings, warnings == 1 ? "" : "s");
    }
    fputc('\n', stderr);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0])
        json_object_set_new(object, key, json_string_lossy(text));
}

static json_t *addresses_to_json(const struct preflight_facts *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < facts->n_addresses; i++) {
        const struct preflight_address *address = &facts->addresses[i];
        char text[NFS_ADDRESS_TEXT];
        json_t *object = json_pack(
            "{s:s, s:s, s:b}", "address", nfs_address_text(&address->address, text), "result",
            nfs_ping_result_names[address->ping.result], "named", address->named);
        if (address->target >= 0)
            set_text(object, "mount_target", facts->targets.items[address->target].id);
        if (address->ping.connect_us >= 0)
            json_object_set_new(object, "connect_us", json_integer(address->ping.connect_us));
        if (address->ping.reply_us >= 0)
            json_object_set_new(object, "reply_us", json_integer(address->ping.reply_us));
        json_array_append_new(list, object);
    }
    return list;
}

static void print_json(const struct preflight_facts *facts, const struct mount_report *report,
                       const struct check *failure)
{
    enum cause cause = failure ? failure->cause : CAUSE_NONE;
    char started[CLOCK_TEXT];
    int64_t started_wall_ms = clock_wall_ms() - facts->took_ms;
    _cleanup_json_ json_t *object = json_pack(
        "{s:i, s:s, s:s, s:I, s:b, s:i}", "format", 1, "version", EFS_SIDECAR_VERSION, "started",
        clock_format(started_wall_ms, started), "took_ms", (json_int_t)facts->took_ms, "ok",
        failure == NULL, "exit_code", cause_table[cause].exit_code);
    if (failure) {
        set_text(object, "cause", cause_table[cause].name);
        set_text(object, "message", failure->message);
        set_text(object, "fix", failure->fix);
    }
    set_text(object, "file_system_id", facts->wish.file_system_id);
    set_text(object, "access_point", facts->wish.access_point);
    set_text(object, "region", facts->region_source ? facts->region : "");
    set_text(object, "availability_zone", facts->zone);
    set_text(object, "availability_zone_id", facts->zone_id);
    set_text(object, "task", facts->metadata.task_arn);
    json_object_set_new(object, "checks", report_checks_to_json(report));
    json_object_set_new(object, "addresses", addresses_to_json(facts));
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
}

static int run(const struct preflight_wish *wish, bool json)
{
    struct preflight_facts *facts;
    struct mount_report report = {0};
    struct error err;
    if (preflight_survey(wish, &facts, &err) < 0) {
        fprintf(stderr, "efs-init preflight: NOT READY (%s, exit %d): %s. %s\n",
                cause_table[CAUSE_NO_RESOURCES].name, cause_table[CAUSE_NO_RESOURCES].exit_code,
                err.text, cause_table[CAUSE_NO_RESOURCES].fix);
        return cause_table[CAUSE_NO_RESOURCES].exit_code;
    }
    preflight_judge(facts, &report);
    const struct check *failure = preflight_failure(&report);
    if (json)
        print_json(facts, &report, failure);
    print_checks(&report, failure);
    print_answer(facts, &report, failure);
    fflush(stdout);
    /* Not exit(): a thread that still hangs may be in a library that would be taken down. */
    _exit(cause_table[failure ? failure->cause : CAUSE_NONE].exit_code);
}

/* ---- options ---- */

static int misuse(const char *what, const char *value)
{
    fprintf(stderr, "efs-init preflight: %s%s; see efs-init preflight --help\n", what, value);
    return cause_table[CAUSE_USAGE].exit_code;
}

static bool copy(const char *text, char *buf, size_t size)
{
    return strlen(text) > 0 && strlen(text) < size && memccpy(buf, text, '\0', size);
}

/* Of a region or zone: it becomes part of a name. */
static bool is_place(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

/* NULL, or what is wrong with the value. */
static const char *take_option(int option, const char *value, struct preflight_wish *wish,
                               bool *json)
{
    enum { SHORTEST_MS = 1000, LONGEST_MS = 600 * 1000, CONNECT_SHORTEST_MS = 100 };
    switch (option) {
    case 'a':
        return is_id(value, "fsap-") && copy(value, wish->access_point, sizeof(wish->access_point))
                   ? NULL
                   : "--access-point wants an id like fsap-0123456789abcdef0, not ";
    case 'z':
        return is_place(value) && copy(value, wish->zone, sizeof(wish->zone))
                   ? NULL
                   : "--az wants a zone like eu-west-1a or euw1-az1, not ";
    case 'r':
        wish->region_by = "--region";
        return is_place(value) && copy(value, wish->region, sizeof(wish->region))
                   ? NULL
                   : "--region wants a region like eu-west-1, not ";
    case 'd':
        return parse_duration_ms(value, SHORTEST_MS, LONGEST_MS, &wish->deadline_ms) == 0
                   ? NULL
                   : "--deadline wants a time from 1s to 600s, not ";
    case 't':
        return parse_duration_ms(value, CONNECT_SHORTEST_MS, LONGEST_MS, &wish->connect_ms) == 0
                   ? NULL
                   : "--connect-timeout wants a time from 100ms to 600s, not ";
    default:
        *json = strcmp(value, "json") == 0;
        return *json || strcmp(value, "text") == 0 ? NULL : "--format is text or json, not ";
    }
}

int preflight_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"access-point", required_argument, NULL, 'a'},
        {"az", required_argument, NULL, 'z'},
        {"region", required_argument, NULL, 'r'},
        {"deadline", required_argument, NULL, 'd'},
        {"connect-timeout", required_argument, NULL, 't'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct preflight_wish wish = {.deadline_ms = 20 * 1000, .connect_ms = 5 * 1000};
    struct error err;
    bool json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == ':' || c == '?')
            return misuse(c == ':' ? "no value for " : "unknown option ", argv[optind - 1]);
        const char *wrong = take_option(c, optarg, &wish, &json);
        if (wrong)
            return misuse(wrong, optarg);
    }
    if (argc - optind != 1)
        return misuse("name one file system, DNS name or address", "");
    if (preflight_parse_target(argv[optind], &wish, &err) < 0)
        return misuse(err.text, "");
    if (wish.access_point[0] && !wish.file_system_id[0])
        return misuse("--access-point goes with a file system id, not with ", argv[optind]);
    return run(&wish, json);
}
