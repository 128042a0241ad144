/*
 * aws_tool: drives lib/aws from the command line, for the integration tests.
 *
 *     aws_tool [-d DEADLINE_MS] COMMAND
 *       credentials [TIMES EVERY_MS]   one line for each time they are asked for
 *       metadata | identity | file-system ID | mount-targets ID | access-points ID | policy ID
 *       call SERVICE PATH [NAME=VALUE ...] [-H HEADER ...] [-b BODY | -f FILE]
 *       get URL
 *       actions                        all that the programs may ask of AWS
 *
 * Prints JSON. A failure is "ERRNO: sentence" on stderr and exit code 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/cloudwatch.h"
#include "lib/aws/efs.h"
#include "lib/aws/metadata.h"
#include "lib/aws/request.h"
#include "lib/aws/sts.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"

enum { BODY_MAX_BYTES = 4 * 1024 * 1024 };

struct tool {
    struct aws_client client;
    int64_t budget_ms;
    int n;
    char **args;
    struct error err;
};

static int64_t deadline(const struct tool *tool)
{
    return clock_now_ms() + tool->budget_ms;
}

static int print(json_t *json)
{
    if (!json)
        return -ENOMEM;
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(json);
    return 0;
}

static double seconds_until(int64_t ms)
{
    return ms == CLOCK_NEVER ? -1 : (double)(ms - clock_now_ms()) / 1000;
}

static int show_credentials(struct tool *tool)
{
    long times = tool->n > 0 ? strtol(tool->args[0], NULL, 10) : 1;
    int every_ms = tool->n > 1 ? (int)strtol(tool->args[1], NULL, 10) : 0;
    int r = 0;
    for (long i = 0; i < times; i++) {
        _cleanup_credentials_ struct credentials *keys = NULL;
        struct error last = {0};
        if (i > 0)
            poll(NULL, 0, every_ms);
        r = credentials_get(tool->client.credentials, deadline(tool), &keys, &tool->err);
        credentials_last_error(tool->client.credentials, &last);
        if (r < 0 && times > 1)
            print(json_pack("{s:s}", "error", tool->err.text));
        if (r < 0)
            continue;
        print(json_pack("{s:s, s:s, s:s, s:f, s:f, s:b, s:s}", "source", keys->source, "role",
                        keys->role_arn, "id", keys->access_key_id, "expires",
                        seconds_until(keys->expires_ms), "refresh", seconds_until(keys->refresh_ms),
                        "token", keys->session_token[0] != '\0', "last_error", last.text));
    }
    return r;
}

static int show_metadata(struct tool *tool)
{
    struct metadata m;
    int r = metadata_read(deadline(tool), &m, &tool->err);
    return r < 0 ? r
                 : print(json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:I,s:f,s:I}",
                                   "cluster", m.cluster, "task_arn", m.task_arn, "task_id",
                                   m.task_id, "family", m.family, "revision", m.revision, "az",
                                   m.availability_zone, "az_id", m.availability_zone_id,
                                   "launch_type", m.launch_type, "service", m.service,
                                   "desired_status", m.desired_status, "container", m.container,
                                   "cpu", m.cpu_limit, "memory", (json_int_t)m.memory_limit_mib,
                                   "container_cpu", m.container_cpu_limit, "container_memory",
                                   (json_int_t)m.container_memory_limit_mib));
}

static int show_identity(struct tool *tool)
{
    struct sts_identity who;
    int r = sts_get_caller_identity(&tool->client, deadline(tool), &who, &tool->err);
    return r < 0 ? r
                 : print(json_pack("{s:s,s:s,s:s}", "Account", who.account, "Arn", who.arn,
                                   "UserId", who.user_id));
}

static int show_file_system(struct tool *tool)
{
    struct efs_file_system fs;
    int r = efs_describe_file_system(&tool->client, tool->args[0], deadline(tool), &fs, &tool->err);
    return r < 0
               ? r
               : print(json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:b,s:I,s:I}", "FileSystemId", fs.id,
                                 "Name", fs.name, "FileSystemArn", fs.arn, "LifeCycleState",
                                 fs.state, "PerformanceMode", fs.performance_mode, "ThroughputMode",
                                 fs.throughput_mode, "ProvisionedThroughputInMibps",
                                 fs.provisioned_mibps, "Encrypted", fs.encrypted,
                                 "NumberOfMountTargets", (json_int_t)fs.n_mount_targets,
                                 "SizeInBytes", (json_int_t)fs.size_bytes));
}

static int show_mount_targets(struct tool *tool)
{
    struct efs_mount_targets targets = {0};
    int r = efs_describe_mount_targets(&tool->client, tool->args[0], deadline(tool), &targets,
                                       &tool->err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; i < targets.n; i++) {
        const struct efs_mount_target *t = &targets.items[i];
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "MountTargetId", t->id,
                      "FileSystemId", t->file_system_id, "LifeCycleState", t->state, "SubnetId",
                      t->subnet_id, "NetworkInterfaceId", t->network_interface_id,
                      "AvailabilityZoneId", t->availability_zone_id, "AvailabilityZoneName",
                      t->availability_zone_name, "IpAddress", t->ipv4, "Ipv6Address", t->ipv6));
    }
    json_t *all = json_pack("{s:o,s:b}", "MountTargets", list, "more", targets.more);
    efs_mount_targets_release(&targets);
    return print(all);
}

static json_t *access_point_json(const struct efs_access_point *p)
{
    json_t *gids = json_array();
    for (size_t i = 0; i < p->n_secondary_gids; i++)
        json_array_append_new(gids, json_integer(p->secondary_gids[i]));
    char mode[16];
    snprintf(mode, sizeof(mode), "%04o", (unsigned)p->creation_mode);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:b,s:I,s:I,s:o,s:s,s:b,s:I,s:I,s:s}", "AccessPointId", p->id,
        "FileSystemId", p->file_system_id, "AccessPointArn", p->arn, "LifeCycleState", p->state,
        "has_posix_user", p->has_posix_user, "Uid", (json_int_t)p->uid, "Gid", (json_int_t)p->gid,
        "SecondaryGids", gids, "Path", p->root_path, "has_creation", p->has_creation, "OwnerUid",
        (json_int_t)p->creation_uid, "OwnerGid", (json_int_t)p->creation_gid, "Permissions", mode);
}

static int show_access_points(struct tool *tool)
{
    struct efs_access_points points = {0};
    int r = efs_describe_access_points(&tool->client, tool->args[0], deadline(tool), &points,
                                       &tool->err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; i < points.n; i++)
        json_array_append_new(list, access_point_json(&points.items[i]));
    json_t *all = json_pack("{s:o,s:b}", "AccessPoints", list, "more", points.more);
    efs_access_points_release(&points);
    return print(all);
}

static int show_policy(struct tool *tool)
{
    _cleanup_free_ char *policy = NULL;
    int r = efs_describe_file_system_policy(&tool->client, tool->args[0], deadline(tool), &policy,
                                            &tool->err);
    return r < 0 ? r : print(json_pack("{s:s?}", "Policy", policy));
}

/* An action of that service: which one it is makes no difference to a request. */
static enum aws_action_id action_of(const char *service)
{
    for (enum aws_action_id i = 0; i < AWS_ACTIONS_N; i++) {
        if (strcmp(aws_actions[i].service->name, service) == 0)
            return i;
    }
    fprintf(stderr, "no service %s\n", service);
    exit(64);
}

/* What the programs may ask of AWS, one object a line. */
static int show_actions(struct tool *tool)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < AWS_ACTIONS_N; i++)
        r = print(json_pack("{s:s,s:s?}", "permission", aws_actions[i].permission, "purpose",
                            aws_actions[i].purpose));
    return r;
}

static int call(struct tool *tool)
{
    struct aws_call call = {.action = action_of(tool->args[0]), .path = tool->args[1]};
    _cleanup_free_ char *file = NULL;
    _cleanup_reply_ struct reply reply = {0};
    size_t n_query = 0, n_headers = 0;
    for (int i = 2; i < tool->n; i++) {
        char *arg = tool->args[i], *equals = strchr(arg, '=');
        if (strcmp(arg, "-b") == 0) {
            call.body = tool->args[++i];
            call.body_length = strlen(call.body);
        } else if (strcmp(arg, "-f") == 0) {
            int r =
                fs_read_file(AT_FDCWD, tool->args[++i], BODY_MAX_BYTES, &file, &call.body_length);
            if (r < 0)
                return r;
            call.body = file;
        } else if (strcmp(arg, "-H") == 0) {
            call.headers[n_headers++] = tool->args[++i];
        } else if (equals) {
            *equals = '\0';
            call.query[n_query++] = (struct aws_parameter){arg, equals + 1};
        }
    }
    call.deadline_ms = deadline(tool);
    int r = aws_request(&tool->client, &call, &reply, &tool->err);
    if (r == 0 && reply.status < 300)
        return print(json_pack("{s:i,s:s}", "status", (int)reply.status, "body", reply.body));
    return r < 0 ? r : reply_check(&reply, tool->args[1], &tool->err);
}

static int get(struct tool *tool)
{
    const struct http_request request = {.method = "GET",
                                         .url = tool->args[0],
                                         .response_max = 65536,
                                         .deadline_ms = deadline(tool)};
    _cleanup_http_response_ struct http_response response = {0};
    int r = http_exchange(&request, &response, &tool->err);
    return r < 0 ? r
                 : print(json_pack("{s:i,s:s}", "status", (int)response.status, "body",
                                   response.body));
}

/* NAMESPACE METRIC UNIT VALUE[*COUNT]...: one datum with these values, now. */
static int put(struct tool *tool)
{
    double values[CLOUDWATCH_VALUES_MAX];
    uint64_t counts[CLOUDWATCH_VALUES_MAX];
    struct cloudwatch_datum datum = {.name = tool->args[1],
                                     .unit = tool->args[2],
                                     .dimensions = {{"ClusterName", "prod"}},
                                     .wall_ms = clock_wall_ms(),
                                     .values = values,
                                     .counts = counts};
    for (int i = 3; i < tool->n && datum.n < CLOUDWATCH_VALUES_MAX; i++) {
        char *end;
        values[datum.n] = strtod(tool->args[i], &end);
        counts[datum.n++] = *end == '*' ? strtoull(end + 1, NULL, 10) : 1;
    }
    _cleanup_free_ char *text = NULL;
    struct iovec data;
    bool gzip = true;
    int r = cloudwatch_encode(&datum, &text, &data.iov_len);
    data.iov_base = text;
    if (r == 0)
        r = cloudwatch_put(&tool->client, tool->args[0], &data, 1, &gzip, deadline(tool),
                           &tool->err);
    return r < 0 ? r : print(json_pack("{s:b}", "gzip", gzip));
}

static const struct {
    const char *name;
    int min_args;
    bool client;
    int (*run)(struct tool *tool);
} commands[] = {
    {"credentials", 0, true, show_credentials},
    {"metadata", 0, false, show_metadata},
    {"identity", 0, true, show_identity},
    {"file-system", 1, true, show_file_system},
    {"mount-targets", 1, true, show_mount_targets},
    {"access-points", 1, true, show_access_points},
    {"policy", 1, true, show_policy},
    {"call", 2, true, call},
    {"put", 4, true, put},
    {"get", 1, false, get},
    {"actions", 0, false, show_actions},
};

static int run(struct tool *tool, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) != 0 || tool->n < commands[i].min_args)
            continue;
        int r = commands[i].client ? aws_client_open(NULL, &tool->client, &tool->err) : 0;
        if (r == 0)
            r = commands[i].run(tool);
        aws_client_close(&tool->client);
        return r;
    }
    fprintf(stderr, "aws_tool: what is \"%s\"?\n", name);
    exit(64);
}

int main(int argc, char **argv)
{
    struct tool tool = {.budget_ms = 5000};
    int option;
    while ((option = getopt(argc, argv, "+d:")) == 'd')
        tool.budget_ms = strtol(optarg, NULL, 10);
    if (option != -1 || optind >= argc)
        return 64;
    tool.args = argv + optind + 1;
    tool.n = argc - optind - 1;
    int r = run(&tool, argv[optind]);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", error_name(-r), tool.err.text);
    return r < 0 ? 1 : 0;
}
