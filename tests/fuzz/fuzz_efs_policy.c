/* File system policies, which anybody who may change them writes. */
#include <stdlib.h>
#include <string.h>

#include "init/policy.h"
#include "lib/cleanup.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    static const struct policy_subject subjects[] = {
        {.role_arn = "arn:aws:iam::123456789012:role/app",
         .access_point_arn = "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/"
                             "fsap-0123456789abcdef0"},
        {.role_arn = "", .access_point_arn = "", .no_access_point = true, .no_tls = true},
    };
    _cleanup_free_ char *copy = strndup(text, length);
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        struct policy_judgement judgement;
        struct error err = {0};
        r = policy_judge(copy, &subjects[i], &judgement, &err);
        MUST((r < 0) == (err.text[0] != '\0'));
        for (int action = 0; r == 0 && action < POLICY_ACTIONS; action++)
            MUST((judgement.effects[action] == POLICY_SILENT) ==
                 (judgement.statements[action][0] == '\0'));
    }
    return r < 0 ? -1 : 0;
}
