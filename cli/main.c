/* efsctl: what people and scripts ask the sidecar. The table of commands. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cache.h"
#include "cli/claim.h"
#include "cli/command.h"
#include "cli/configuration.h"
#include "cli/conformance.h"
#include "cli/explain.h"
#include "cli/health.h"
#include "cli/lock.h"
#include "cli/locks.h"
#include "cli/metrics.h"
#include "cli/publish.h"
#include "cli/state.h"
#include "cli/status.h"
#include "cli/support.h"
#include "cli/taskdef.h"
#include "cli/tasks.h"
#include "cli/top.h"
#include "cli/watch.h"
#include "lib/json.h"
#include "lib/settings.h"
#include "lib/typo.h"

enum { SOCKET_PATH_SIZE = 4096, EXPLAIN_WORDS_MAX = 10000 };

static int version_run(const struct command_call *call)
{
    puts("efsctl " EFS_SIDECAR_VERSION);
    return 0;
}

/* Options in the order of the enums in the commands' files. */
static const struct command commands[] = {
    {"status",
     "",
     0,
     "what the sidecar knows about the mounts",
     {{"json", NULL, "what the API answers, as it is"}},
     status_run},
    {"top",
     "",
     0,
     "a live view of mounts, calls and latencies; q or ^C leaves it",
     {{"interval", "TIME", "how often it looks [2s]; rates are of this time"},
      {"once", NULL, "one look as plain text, as into a pipe"}},
     top_run},
    {"metrics",
     "",
     0,
     "what the sidecar measures of itself and of each mount",
     {{"watch", NULL, "again and again, until it is interrupted"},
      {"interval", "TIME", "with --watch: how often [that of the metrics]"},
      {"cost", NULL, "what a month of them costs, and of the sidecar's own calls to EFS"},
      {"region", "NAME", "with --cost: where the task runs [AWS_REGION]"},
      {"json", NULL, "what the API answers, as it is"}},
     metrics_run},
    {"health",
     "",
     0,
     "exit code 0 when the sidecar works, 1 when not; for a healthCheck",
     {{"fail-on", "mount", "count a mount that is not ready as well"},
      {"for", "TIME", "only after this long, and up to half of it more, by task [300s]"}},
     health_run},
    {"watch",
     "[PATH]",
     1,
     "changes on the mounts, or under PATH, as they come",
     {{"json", NULL, "JSON lines, also on a terminal"},
      {"text", NULL, "lines for people, also into a pipe"},
      {"mount", "DIR", "of this mount only; PATH is relative to it"},
      {"since", "CURSOR", "after this change, as far as the sidecar still knows"},
      {"cursor-file", "FILE", "go on where this file says, and keep it up to date"},
      {"remote-only", NULL, "not what this task's own host changed"},
      {"op", "OP,...", "only these: create, modify, delete, rename, attrib, publish"},
      {"exec", "COMMAND", "run COMMAND after changes, which it gets on stdin as JSON lines"},
      {"debounce", "TIME", "with --exec: when it has been quiet for this long [200ms]"},
      {"once", NULL, "only the first change, or run"}},
     watch_run},
    {"lock",
     "NAME [OPTIONS] -- COMMAND ...",
     LOCK_ARGUMENTS_MAX,
     "run COMMAND while no other task of the fleet holds lock NAME; ends it when the lock is lost",
     {{"wait", "TIME", "give up after this long [never]"},
      {"try", NULL, "do not wait at all"},
      {"on-lost", "HOW", "what COMMAND gets when the lock is lost: term, kill or ignore [term]"},
      {"mount", "DIR", "a lock of this mount's tasks [the first that has locks]"},
      {"purpose", "TEXT", "what those who wait are told"}},
     lock_run},
    {"once",
     "KEY [OPTIONS] -- COMMAND ...",
     LOCK_ARGUMENTS_MAX,
     "run COMMAND once in the fleet; the others wait for its success, a failure frees the key",
     {{"wait", "TIME", "give up after this long [never]"},
      {"try", NULL, "do not wait at all"},
      {"on-lost", "HOW", "what COMMAND gets when the lock is lost: term, kill or ignore [term]"},
      {"mount", "DIR", "a lock of this mount's tasks [the first that has locks]"},
      {"purpose", "TEXT", "what those who wait are told"},
      {"again", NULL, "also when it was done before"}},
     once_run},
    {"lead",
     "NAME [OPTIONS] -- COMMAND ...",
     LOCK_ARGUMENTS_MAX,
     "run COMMAND while this task leads, and again when it leads again, until COMMAND ends",
     {{"wait", "TIME", "give up after this long [never]"},
      {"try", NULL, "do not wait at all"},
      {"on-lost", "HOW", "what COMMAND gets when the lock is lost: term, kill or ignore [term]"},
      {"mount", "DIR", "a lock of this mount's tasks [the first that has locks]"},
      {"purpose", "TEXT", "what those who wait are told"}},
     lead_run},
    {"locks",
     "[NAME]",
     1,
     "the locks that this task has or waits for; who has NAME, as its file says",
     {{"json", NULL, "what the API answers, as it is"},
      {"mount", "DIR", "NAME is one of this mount's tasks [the first that has locks]"}},
     locks_run},
    {"publish",
     "SRC DEST",
     PUBLISH_ARGUMENTS_MAX,
     "SRC, or - for stdin, appears as DEST, whole, for all tasks; not if DEST exists",
     {{"replace", NULL, "also if DEST exists: readers get the old file or the new one"},
      {"mkdir", NULL, "make the directories of DEST that are missing"},
      {"mode", "MODE", "its permission bits, in octal [SRC's]"},
      {"keep", NULL, "SRC stays as it is; one that lies on the mount is moved else"},
      {"manifest", "FILE",
       "SRC ... DIRECTORY: several as a set; FILE names them all, and comes last"},
      {"lock", "NAME", "only while this task holds that lock"},
      {"token", "G.N", "with this token of it [EFS_LOCK_TOKEN, under efsctl lock]"},
      {"mount", "DIR", "DEST is relative to this mount [the first that can be written]"},
      {"timeout", "TIME", "give up after this long [60s]"},
      {"no-digest", NULL, "the others need not know its SHA-256"},
      {"json", NULL, "what the API answers, as it is"}},
     publish_run},
    {"tasks",
     "",
     0,
     "every task's write directory: alive, orphaned or unknown, with age and size",
     {{"json", NULL, "what the API answers, as it is"},
      {"mount", "DIR", "of this mount [the first with write directories]"}},
     tasks_run},
    {"cache",
     "[stats|warm|pin|evict|path] [PATH ...]",
     CACHE_ARGUMENTS_MAX,
     "copies of hot files: numbers and cost; warm, pin and evict paths; where a copy is",
     {{"json", NULL, "with stats: what the API answers, as it is"},
      {"mount", "DIR", "of this mount [the first with a cache]"},
      {"no-wait", NULL, "with warm and pin: do not wait until all is there"}},
     cache_run},
    {"claim",
     "DIR [OPTIONS] -- COMMAND ... {}",
     LOCK_ARGUMENTS_MAX,
     "run COMMAND for each file of DIR, each in one task of the fleet; {} is the file's path",
     {{"match", "GLOB", "only files with such names"},
      {"wait", "TIME", "end when there has been nothing to do for this long [never]"},
      {"batch", "N", "so many files at once [1]"},
      {"max-attempts", "N", "then a file goes to DIR/.dead [claim.max_attempts]"},
      {"once", NULL, "one file, or with --batch so many; 75 when there is none"},
      {"mount", "DIR", "DIR is on this mount [the first that can be written]"}},
     claim_run},
    {"config",
     "",
     0,
     "the settings that the sidecar runs with, and where they came from",
     {{"json", NULL, "what the API answers, as it is"}},
     configuration_run},
    {"explain",
     "[TEXT | EXIT_CODE | ID]",
     EXPLAIN_WORDS_MAX,
     "what an error means and what to change; TEXT or `aws ecs describe-tasks` also on stdin",
     {{"json", NULL, "for programs"},
      {"gate", "NAME", "the container that runs efs-init [guessed]"},
      {"list", NULL, "all that is known, as Markdown"}},
     explain_run},
    {"state",
     "show|upgrade|reset DIR",
     2,
     "the state directory in DIR: look at it, change its format, start it anew",
     {{"json", NULL, "show: for programs"},
      {"force", NULL, "reset: although members live"},
      {"root", "DIR", "reset: the mounted directory that it coordinates [the one it lies in]"},
      {"file-system", "ID", "reset: fs-... of that directory, if it is to be checked"}},
     state_run},
    {"taskdef",
     "add FILE",
     2,
     "puts efs-init and efs-sidecar into an ECS task definition (- is stdin), and prints it",
     {{"image", "IMAGE", "efs-sidecar's image in your registry"},
      {"profile", "NAME", "gate (no sidecar), observe, coordinate or cache [coordinate]"},
      {"state", "FSAP_ID", "the state on a volume of its own, through this access point"},
      {"user", "UID:GID", "who they run as [1000:1000]"},
      {"cluster", "NAME", "a dimension of the metrics"},
      {"service", "NAME", "another [the family]"},
      {"exec", NULL, "volumes for ECS Exec where the root file system is read-only"}},
     taskdef_run},
    {"conformance",
     "DIR",
     1,
     "does the file system in DIR do what efs-sidecar relies on? Tries it, and says what it saw",
     {{"json", NULL, "for programs"},
      {"peer", NULL, "with another host that runs the same at the same time"}},
     conformance_run},
    {"log",
     "",
     0,
     "the last lines that the sidecar logged",
     {{"level", "LEVEL", "instead: log error, warn, info or debug from now on"}},
     log_run},
    {"support",
     "",
     0,
     "all that a report of a bug needs, as JSON, without keys, tokens and account numbers",
     {{"output", "FILE", "into this file, for its owner only"}},
     support_run},
    {"version", "", 0, "the version of efsctl", {{0}}, version_run},
};

static void print_usage(FILE *out)
{
    fputs("usage: efsctl [SETTINGS] COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\nSettings, where the sidecar is found:\n", out);
    config_print_help(&settings_table, PROGRAM_CTL, out);
    fputs("\nExit codes: 0 done, 1 no, 64 wrong usage, 69 no sidecar answers,\n75 somebody else "
          "has the lock, 76 the lock was lost; 73, 74 see publish.\n",
          out);
}

static void print_command_usage(const struct command *command, FILE *out)
{
    fprintf(out, "usage: efsctl %s%s%s%s\n%s\n", command->name,
            command->options[0].name ? " [OPTIONS]" : "", *command->arguments ? " " : "",
            command->arguments, command->summary);
    for (const struct command_option *option = command->options; option->name; option++)
        fprintf(out, "  --%s%s%s\n      %s\n", option->name, option->argument ? "=" : "",
                option->argument ? option->argument : "", option->help);
}

/* --run-dir behind the command is a slip that deserves better words. */
static bool is_setting(const char *option)
{
    char name[64];
    for (size_t i = 0; i < settings_table.n; i++) {
        config_option_name(&settings_table.settings[i], name, sizeof(name));
        if ((settings_table.settings[i].programs & PROGRAM_CTL) && strncmp(option, "--", 2) == 0 &&
            strcmp(option + 2, name) == 0)
            return true;
    }
    return false;
}

static int bad_option(const struct command_call *call, int c, const char *argument)
{
    char option[64];
    snprintf(option, sizeof(option), "%.*s", (int)strcspn(argument, "="), argument);
    if (c == ':')
        return command_misuse(call, "%s wants a value", option);
    if (is_setting(option))
        return command_misuse(call, "%s stands before the command: efsctl %s=... %s", option,
                              option, call->command->name);
    return command_misuse(call, "unknown option %s", option);
}

/* The command's own options and arguments; argv[0] is its name. */
static int run_command(struct command_call *call, int argc, char **argv)
{
    enum { HELP = 'h', FIRST = 256 };
    const struct command *command = call->command;
    struct option options[COMMAND_OPTIONS_MAX + 2] = {0};
    size_t n = 0;
    for (; command->options[n].name; n++)
        options[n] = (struct option){
            .name = command->options[n].name,
            .has_arg = command->options[n].argument ? required_argument : no_argument,
            .val = FIRST + (int)n,
        };
    options[n] = (struct option){.name = "help", .val = HELP};
    opterr = 0;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (c == HELP) {
            print_command_usage(command, stdout);
            return 0;
        }
        if (c < FIRST)
            return bad_option(call, c, argv[optind - 1]);
        call->values[c - FIRST] = optarg ? optarg : "";
    }
    call->n_arguments = argc - optind;
    call->arguments = argv + optind;
    if (call->n_arguments > command->max_arguments)
        return command_misuse(call, "unexpected argument \"%.200s\"",
                              call->arguments[command->max_arguments]);
    return command->run(call);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *nearest = NULL;
    unsigned best = typo_none(name);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (typo_is_nearer(name, commands[i].name, &best))
            nearest = commands[i].name;
    }
    struct error err;
    if (nearest)
        error_set(&err, EINVAL, "unknown command \"%.64s\" (did you mean %s?); see efsctl --help",
                  name, nearest);
    else
        error_set(&err, EINVAL, "unknown command \"%.64s\"; see efsctl --help", name);
    command_say("", &err);
    return COMMAND_MISUSE;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    char socket_path[SOCKET_PATH_SIZE];
    struct command_call call = {.socket_path = socket_path};
    if (argc == 0) {
        fputs("efsctl: a command is missing; see efsctl --help\n", stderr);
        return COMMAND_MISUSE;
    }
    call.command = find_command(argv[0]);
    if (!call.command)
        return unknown_command(argv[0]);
    if (settings_api_socket(settings, socket_path, sizeof(socket_path)) < 0)
        return command_misuse(&call, "the path of the socket in run_dir is too long");
    return run_command(&call, argc, argv);
}

static void print_settings(const struct settings *settings)
{
    _cleanup_json_ json_t *json = config_to_json(&settings_table, settings);
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
}

static int main_with_settings(int argc, char **argv)
{
    static struct settings settings;
    static struct config_report report;
    enum config_action action;
    int first;
    if (config_load(&settings_table, PROGRAM_CTL | CONFIG_OPTIONS_FIRST, argc, argv, &settings,
                    &action, &first, &report) < 0) {
        fputs(report.text, stderr);
        fputs("see efsctl --help\n", stderr);
        return COMMAND_MISUSE;
    }
    int code = 0;
    if (action == CONFIG_HELP)
        print_usage(stdout);
    else if (action == CONFIG_VERSION)
        code = version_run(NULL);
    else if (action == CONFIG_CHECK)
        print_settings(&settings);
    else
        code = run(&settings, argc - first, argv + first);
    config_release(&settings_table, &settings);
    return code;
}

int main(int argc, char **argv)
{
    int code = main_with_settings(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("efsctl: cannot write to stdout");
        return code ? code : EX_IOERR;
    }
    return code;
}
