#include "init/explain.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/explain/cause.h"
#include "lib/explain/explain.h"
#include "lib/json.h"

enum { NOT_KNOWN = 1 };

static const char usage[] =
    "usage: efs-init explain [options] [TEXT | EXIT_CODE | ID]\n"
    "\n"
    "What an error means and what to change. TEXT, or the JSON of `aws ecs describe-tasks`, is\n"
    "also read from stdin. Needs no credentials and no network.\n"
    "\n"
    "  --format=text|json  for people or for programs [text]\n"
    "  --json              --format=json\n"
    "  --gate=NAME         the container that runs efs-init [guessed]\n"
    "  --list              all that is known, as Markdown\n"
    "\n"
    "Exit codes: 0 explained, 1 not known, 64 wrong usage.\n";

static int misuse(const char *what, const char *value)
{
    fprintf(stderr, "efs-init explain: %s%s; see efs-init explain --help\n", what, value);
    return cause_table[CAUSE_USAGE].exit_code;
}

static int answer(int n_arguments, char **arguments, const char *gate_name, bool json)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *found = NULL;
    size_t length;
    struct error err;
    if (n_arguments == 0 && isatty(STDIN_FILENO))
        return misuse("give it the message in quotation marks, or on stdin", "");
    if (explain_read(n_arguments, arguments, stdin, &text, &length, &err) < 0 ||
        explain(text, length, gate_name, &found, &err) < 0)
        return misuse(err.text, "");
    if (json) {
        json_dumpf(found, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        explain_print(found, stdout);
    }
    return explain_known(found) ? 0 : NOT_KNOWN;
}

int explain_main(int argc, char **argv)
{
    enum { HELP = 'h', FORMAT = 'f', JSON = 'j', GATE = 'g', LIST = 'c' };
    static const struct option options[] = {
        {"help", no_argument, NULL, HELP}, {"format", required_argument, NULL, FORMAT},
        {"json", no_argument, NULL, JSON}, {"gate", required_argument, NULL, GATE},
        {"list", no_argument, NULL, LIST}, {0},
    };
    const char *gate_name = NULL;
    bool json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1;) {
        switch (c) {
        case HELP:
            fputs(usage, stdout);
            return 0;
        case LIST:
            explain_print_list(stdout);
            return 0;
        case FORMAT:
            json = strcmp(optarg, "json") == 0;
            if (!json && strcmp(optarg, "text") != 0)
                return misuse("--format is text or json, not ", optarg);
            break;
        case JSON:
            json = true;
            break;
        case GATE:
            gate_name = optarg;
            break;
        default:
            return misuse(c == ':' ? "no value for " : "unknown option ", argv[optind - 1]);
        }
    }
    return answer(argc - optind, argv + optind, gate_name, json);
}
