#include "init/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"

const char *const policy_action_names[POLICY_ACTIONS] = {
    [POLICY_MOUNT] = "ClientMount",
    [POLICY_WRITE] = "ClientWrite",
    [POLICY_ROOT] = "ClientRootAccess",
};

/* Ordered: "and" is the lesser, "or" the greater. */
enum truth { NO, MAYBE, YES };

static enum truth not(enum truth truth) { return truth == YES ? NO : truth == NO ? YES : MAYBE; }

/* The best of a string or an array of strings. */
static enum truth any(const json_t *value, enum truth (*test)(const char *text, const void *arg),
                      const void *arg)
{
    if (json_is_string(value))
        return test(json_string_value(value), arg);
    if (json_is_boolean(value)) /* as in {"aws:SecureTransport": true} */
        return test(json_is_true(value) ? "true" : "false", arg);
    enum truth best = NO;
    size_t i;
    const json_t *one;
    json_array_foreach(value, i, one)
    {
        enum truth truth = json_is_string(one) ? test(json_string_value(one), arg) : MAYBE;
        if (truth > best)
            best = truth;
    }
    return best;
}

/* ---- who ---- */

static enum truth names_role(const char *principal, const void *arg)
{
    const struct policy_subject *subject = arg;
    const char *role = subject->role_arn;
    if (strcmp(principal, "*") == 0)
        return YES;
    if (subject->anonymous)
        return NO;
    if (!*role)
        return MAYBE;
    if (strcmp(principal, role) == 0)
        return YES;
    /* arn:aws:iam::123456789012:role/app: its account, alone or as :root */
    char account[13] = "";
    if (sscanf(role, "arn:%*[^:]:iam::%12[0-9]:", account) != 1)
        return MAYBE;
    if (strcmp(principal, account) == 0)
        return YES;
    const char *root = strstr(principal, ":iam::");
    if (root && strncmp(root + strlen(":iam::"), account, strlen(account)) == 0 &&
        strcmp(root + strlen(":iam::") + strlen(account), ":root") == 0)
        return YES;
    /* A session of the role would name it. */
    const char *name = strrchr(role, '/');
    return strstr(principal, ":assumed-role/") && name && strstr(principal, name) ? MAYBE : NO;
}

static enum truth is_about_role(const json_t *principal, const struct policy_subject *subject)
{
    if (json_is_object(principal))
        principal = json_object_get(principal, "AWS");
    return any(principal, names_role, subject);
}

/* ---- what ---- */

static enum truth names_action(const char *pattern, const void *arg)
{
    return fnmatch(pattern, arg, FNM_CASEFOLD | FNM_NOESCAPE) == 0 ? YES : NO;
}

/* ---- under which conditions ---- */

static enum truth is_true(const char *text, const void *arg)
{
    return strcasecmp(text, "true") == 0 ? YES : NO;
}

static enum truth names_access_point(const char *pattern, const void *arg)
{
    return fnmatch(pattern, arg, FNM_NOESCAPE) == 0 ? YES : NO;
}

static enum truth access_point_holds(const char *test, const json_t *wanted,
                                     const struct policy_subject *subject)
{
    static const char *const tests[] = {"StringEquals", "StringLike",      "ArnEquals",
                                        "ArnLike",      "StringNotEquals", "StringNotLike",
                                        "ArnNotEquals", "ArnNotLike"};
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (strcmp(test, tests[i]) != 0)
            continue;
        bool negated = strstr(test, "Not") != NULL;
        if (!*subject->access_point_arn)
            return !subject->no_access_point ? MAYBE : negated ? YES : NO;
        enum truth truth = any(wanted, names_access_point, subject->access_point_arn);
        return negated ? not(truth) : truth;
    }
    return MAYBE;
}

/* tls: whether the client uses it. */
static enum truth condition_holds(const char *test, const char *key, const json_t *wanted,
                                  const struct policy_subject *subject, bool tls)
{
    /* The two keys are always there. */
    bool is_bool = strcasecmp(test, "Bool") == 0 || strcasecmp(test, "BoolIfExists") == 0;
    if (is_bool && strcasecmp(key, "aws:SecureTransport") == 0)
        return any(wanted, is_true, NULL) == (tls ? YES : NO) ? YES : NO;
    if (is_bool && strcasecmp(key, "elasticfilesystem:AccessedViaMountTarget") == 0)
        return any(wanted, is_true, NULL);
    if (strcasecmp(key, "elasticfilesystem:AccessPointArn") == 0)
        return access_point_holds(test, wanted, subject);
    return MAYBE;
}

static enum truth conditions_hold(const json_t *statement, const struct policy_subject *subject,
                                  bool tls)
{
    json_t *conditions = json_object_get(statement, "Condition"), *keys, *wanted;
    const char *test, *key;
    enum truth all = YES;
    json_object_foreach(conditions, test, keys)
    {
        json_object_foreach(keys, key, wanted)
        {
            enum truth truth = condition_holds(test, key, wanted, subject, tls);
            if (truth < all)
                all = truth;
        }
    }
    return all;
}

/* ---- statements ---- */

static enum truth applies(const json_t *statement, enum policy_action action,
                          const struct policy_subject *subject, bool tls)
{
    char name[64];
    snprintf(name, sizeof(name), "elasticfilesystem:%s", policy_action_names[action]);
    const json_t *actions = json_object_get(statement, "Action");
    enum truth what = actions
                          ? any(actions, names_action, name)
                          : not(any(json_object_get(statement, "NotAction"), names_action, name));
    const json_t *principal = json_object_get(statement, "Principal");
    enum truth who = principal
                         ? is_about_role(principal, subject)
                         : not(is_about_role(json_object_get(statement, "NotPrincipal"), subject));
    enum truth when = conditions_hold(statement, subject, tls);
    enum truth least = what < who ? what : who;
    return least < when ? least : when;
}

static enum policy_effect effect_of(const json_t *statement, enum truth truth)
{
    const char *effect = json_string_value(json_object_get(statement, "Effect"));
    if (truth == NO || !effect)
        return POLICY_SILENT;
    if (strcmp(effect, "Deny") == 0)
        return truth == YES ? POLICY_DENIES : POLICY_MAY_DENY;
    return truth == YES ? POLICY_ALLOWS : POLICY_MAY_ALLOW;
}

static void judge(const json_t *statements, const struct policy_subject *subject, bool tls,
                  struct policy_judgement *judgement)
{
    for (int action = 0; action < POLICY_ACTIONS; action++) {
        size_t i;
        const json_t *statement;
        json_array_foreach(statements, i, statement)
        {
            enum truth truth = applies(statement, (enum policy_action)action, subject, tls);
            enum policy_effect effect = effect_of(statement, truth);
            if (effect <= judgement->effects[action])
                continue;
            const char *sid = json_string_value(json_object_get(statement, "Sid"));
            judgement->effects[action] = effect;
            if (sid && *sid)
                snprintf(judgement->statements[action], sizeof(judgement->statements[action]),
                         "\"%.60s\"", sid);
            else
                snprintf(judgement->statements[action], sizeof(judgement->statements[action]),
                         "%zu", i + 1);
        }
    }
}

int policy_judge(const char *text, const struct policy_subject *subject,
                 struct policy_judgement *ret_judgement, struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    int r = json_parse(text, strlen(text), &root, err);
    if (r < 0)
        return r;
    json_t *statements = json_object_get(root, "Statement");
    if (!json_is_array(statements) && !json_is_object(statements))
        return error_set(err, EINVAL, "\"Statement\" is missing");
    _cleanup_json_ json_t *list =
        json_is_array(statements) ? json_incref(statements) : json_pack("[O]", statements);
    struct policy_judgement with = {0}, without = {0};
    judge(list, subject, true, &with);
    judge(list, subject, false, &without);
    *ret_judgement = subject->no_tls ? without : with;
    for (int action = 0; action < POLICY_ACTIONS; action++) {
        bool denied = without.effects[action] == POLICY_DENIES;
        bool allowed = with.effects[action] == POLICY_ALLOWS;
        ret_judgement->needs_tls |= (denied && with.effects[action] != POLICY_DENIES) ||
                                    (allowed && without.effects[action] == POLICY_SILENT);
    }
    return 0;
}
