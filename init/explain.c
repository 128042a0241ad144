#include "init/explain.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init/explain_task.h"
#include "lib/explain/cause.h"
#include "lib/explain/explain.h"
#include "lib/json.h"

enum { NOT_KNOWN = 1, NO_ANSWER = 69 };

static const char usage[] =
    "usage: efs-init explain [options] [TEXT | EXIT_CODE | ID]\n"
    "\n"
    "What an error means and what to change. TEXT, or the JSON of `aws ecs describe-tasks`, is\n"
    "also read from stdin. Needs no credentials and no network, but for --task.\n"
    "\n"
    "  --task=ARN          ask ECS about this task (needs ecs:DescribeTasks)\n"
    "  --format=text|json  for people or for programs [text]\n"
    "  --json              --format=json\n"
    "  --gate=NAME         the container that runs efs-init [guessed]\n"
    "  --list              all that is known, as Markdown\n"
    "\n"
    "Exit codes: 0 explained, 1 not known, 64 wrong usage, 69 AWS did not tell.\n";

static int misuse(const char *what, const char *value)
{
    fprintf(stderr, "efs-init explain: %s%s; see efs-init explain --help\n", what, value);
    return cause_table[CAUSE_USAGE].exit_code;
}

struct question {
    int n_arguments;
    char **arguments;
    const char *task; /* NULL: the arguments or stdin say it */
    const char *gate_name;
    bool json;
};

static int answer(const struct question *question)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *found = NULL;
    size_t length;
    struct error err;
    if (question->task) {
        int r = explain_fetch_task(question->task, &text, &length, &err);
        if (r == -EINVAL)
            return misuse(err.text, "");
        if (r < 0) {
            fprintf(stderr, "efs-init explain: %s\n", err.text);
            return NO_ANSWER;
        }
    } else if (question->n_arguments == 0 && isatty(STDIN_FILENO)) {
        return misuse("give it the message in quotation marks, or on stdin", "");
    } else if (explain_read(question->n_arguments, question->arguments, stdin, &text, &length,
                            &err) < 0) {
        return misuse(err.text, "");
    }
    if (explain(text, length, question->gate_name, &found, &err) < 0)
        return misuse(err.text, "");
    if (question->json) {
        json_dumpf(found, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        explain_print(found, stdout);
    }
    return explain_known(found) ? 0 : NOT_KNOWN;
}

int explain_main(int argc, char **argv)
{
    enum { HELP = 'h', FORMAT = 'f', JSON = 'j', GATE = 'g', LIST = 'c', TASK = 't' };
    static const struct option options[] = {
        {"help", no_argument, NULL, HELP},
        {"format", required_argument, NULL, FORMAT},
        {"json", no_argument, NULL, JSON},
        {"gate", required_argument, NULL, GATE},
        {"list", no_argument, NULL, LIST},
        {"task", required_argument, NULL, TASK},
        {0},
    };
    struct question question = {0};
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
            question.json = strcmp(optarg, "json") == 0;
            if (!question.json && strcmp(optarg, "text") != 0)
                return misuse("--format is text or json, not ", optarg);
            break;
        case JSON:
            question.json = true;
            break;
        case GATE:
            question.gate_name = optarg;
            break;
        case TASK:
            question.task = optarg;
            break;
        default:
            return misuse(c == ':' ? "no value for " : "unknown option ", argv[optind - 1]);
        }
    }
    question.n_arguments = argc - optind;
    question.arguments = argv + optind;
    if (question.task && question.n_arguments > 0)
        return misuse("--task takes no text beside it: ", argv[optind]);
    return answer(&question);
}
