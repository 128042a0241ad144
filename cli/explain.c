#include "cli/explain.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/explain/explain.h"
#include "lib/json.h"

/* As in the table of commands. */
enum { OPTION_JSON, OPTION_GATE, OPTION_LIST };

int explain_run(const struct command_call *call)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *answer = NULL;
    size_t length;
    struct error err;
    if (call->values[OPTION_LIST]) {
        explain_print_list(stdout);
        return 0;
    }
    if (call->n_arguments == 0 && isatty(STDIN_FILENO))
        return command_misuse(call, "give it the message in quotation marks, an exit code, or "
                                    "the answer of aws ecs describe-tasks on stdin");
    if (explain_read(call->n_arguments, call->arguments, stdin, &text, &length, &err) < 0 ||
        explain(text, length, call->values[OPTION_GATE], &answer, &err) < 0)
        return command_misuse(call, "%s", err.text);
    if (call->values[OPTION_JSON]) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        explain_print(answer, stdout);
    }
    return explain_known(answer) ? 0 : COMMAND_REFUSED;
}
