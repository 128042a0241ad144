#include "init/efs_policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"

/* Ordered, so that "and" is the smaller and "or" the larger. */
enum truth { NO, MAYBE, YES };

struct request {
    const char *action;
    bool tls, iam, access_point;
    const char *access_point_id; /* "": not known which */
    const char *role_arn;        /* "": not known */
    char *unknown;               /* of efs_policy_needs */
};

static enum truth opposite(enum truth value)
{
    return YES - value;
}

static enum truth undecided(const struct request *request, const char *what)
{
    if (!request->unknown[0])
        snprintf(request->unknown, sizeof(((struct efs_policy_needs *)0)->unknown), "%.100s", what);
    return MAYBE;
}

/* A text, or a list of texts: the truest answer of all of them. */
static enum truth any_of(const json_t *value, enum truth (*ask)(const char *, const void *),
                         const void *context)
{
    if (json_is_string(value))
        return ask(json_string_value(value), context);
    enum truth best = NO;
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        enum truth one = json_is_string(item) ? ask(json_string_value(item), context) : NO;
        best = one > best ? one : best;
    }
    return best;
}

/* ---- who ---- */

/* The account of arn:partition:service:region:account:..., 12 digits, or NULL. */
static const char *account_of(const char *arn)
{
    for (int field = 0; field < 4; field++) {
        arn = strchr(arn, ':');
        if (!arn)
            return NULL;
        arn++;
    }
    return strspn(arn, "0123456789") == 12 ? arn : NULL;
}

static enum truth is_principal(const char *named, const void *context)
{
    const struct request *request = context;
    if (strcmp(named, "*") == 0)
        return YES;
    if (!request->iam)
        return NO;
    if (!request->role_arn[0])
        return undecided(request, "the task's role");
    if (strcmp(named, request->role_arn) == 0)
        return YES;
    /* a whole account: its number, or arn:aws:iam::NUMBER:root */
    const char *mine = account_of(request->role_arn);
    const char *theirs = strchr(named, ':') ? account_of(named) : named;
    bool whole = !strchr(named, ':') || (theirs && strcmp(theirs + 12, ":root") == 0);
    return whole && mine && theirs && strncmp(mine, theirs, 12) == 0 ? YES : NO;
}

static enum truth matches_principal(const json_t *statement, const struct request *request)
{
    const json_t *principal = json_object_get(statement, "Principal");
    if (!principal)
        return undecided(request, "NotPrincipal");
    return any_of(json_is_object(principal) ? json_object_get(principal, "AWS") : principal,
                  is_principal, request);
}

/* ---- what ---- */

static enum truth is_action(const char *pattern, const void *context)
{
    const struct request *request = context;
    return fnmatch(pattern, request->action, FNM_CASEFOLD) == 0 ? YES : NO;
}

static enum truth matches_action(const json_t *statement, const struct request *request)
{
    const json_t *action = json_object_get(statement, "Action");
    if (action)
        return any_of(action, is_action, request);
    return opposite(any_of(json_object_get(statement, "NotAction"), is_action, request));
}

/* ---- under which conditions ---- */

struct operand {
    const char *value; /* of the request, NULL: it does not have the key */
    bool like;
    bool ids; /* compare what is behind the last colon */
};

/* "Bool" has its values as texts or as JSON's own. */
static const char *text_of(const json_t *value)
{
    return json_is_boolean(value)  ? json_is_true(value) ? "true" : "false"
           : json_is_string(value) ? json_string_value(value)
                                   : "";
}

static bool equals(const json_t *wanted, const struct operand *operand)
{
    const char *text = text_of(wanted);
    const char *colon = operand->ids ? strrchr(text, ':') : NULL;
    if (colon)
        text = colon + 1;
    return operand->like ? fnmatch(text, operand->value, 0) == 0
                         : strcasecmp(text, operand->value) == 0;
}

static bool equals_any(const json_t *wanted, const struct operand *operand)
{
    if (!json_is_array(wanted))
        return equals(wanted, operand);
    size_t i;
    json_t *item;
    json_array_foreach(wanted, i, item)
    {
        if (equals(item, operand))
            return true;
    }
    return false;
}

static const struct {
    const char *name;
    bool negated, like;
} operators[] = {
    {"Bool", false, false},           {"StringEquals", false, false},
    {"StringLike", false, true},      {"StringEqualsIgnoreCase", false, false},
    {"ArnEquals", false, true},       {"ArnLike", false, true},
    {"StringNotEquals", true, false}, {"StringNotLike", true, true},
    {"ArnNotEquals", true, true},     {"ArnNotLike", true, true},
};

/* The request's value of a condition key into *operand; false: not known here. buf: 128 bytes. */
static bool value_of(const char *key, const struct request *request, char *buf,
                     struct operand *operand)
{
    operand->value = NULL;
    if (strcasecmp(key, "aws:SecureTransport") == 0) {
        operand->value = request->tls ? "true" : "false";
    } else if (strcasecmp(key, "elasticfilesystem:AccessedViaMountTarget") == 0) {
        operand->value = "true";
    } else if (strcasecmp(key, "elasticfilesystem:AccessPointArn") == 0) {
        if (request->access_point && !request->access_point_id[0])
            return false;
        snprintf(buf, 128, "access-point/%s", request->access_point_id);
        operand->value = request->access_point ? buf : NULL;
        operand->ids = true;
    } else if (strcasecmp(key, "aws:PrincipalArn") == 0) {
        if (request->iam && !request->role_arn[0])
            return false;
        operand->value = request->iam ? request->role_arn : NULL;
    } else {
        return false;
    }
    return true;
}

static enum truth holds(const char *operator, const char * key, const json_t *wanted,
                        const struct request *request)
{
    char buf[128];
    size_t length = strlen(operator);
    bool if_exists = length > 8 && strcmp(operator+ length - 8, "IfExists") == 0;
    struct operand operand = {0};
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (strlen(operators[i].name) != length - (if_exists ? 8 : 0) ||
            strncmp(operators[i].name, operator, strlen(operators[i].name)) != 0)
            continue;
        operand.like = operators[i].like;
        if (!value_of(key, request, buf, &operand))
            return undecided(request, key);
        if (!operand.value)
            return if_exists || operators[i].negated ? YES : NO;
        return equals_any(wanted, &operand) != operators[i].negated ? YES : NO;
    }
    return undecided(request, key);
}

static enum truth matches_conditions(const json_t *statement, const struct request *request)
{
    enum truth all = YES;
    const char *operator, * key;
    json_t *keys, *wanted;
    json_object_foreach(json_object_get(statement, "Condition"), operator, keys)
    {
        json_object_foreach(keys, key, wanted)
        {
            enum truth one = holds(operator, key, wanted, request);
            all = one < all ? one : all;
        }
    }
    return all;
}

/* ---- all of it ---- */

struct outcome {
    enum truth allowed, denied;
};

static struct outcome evaluate(const json_t *statements, const struct request *request)
{
    struct outcome outcome = {NO, NO};
    size_t i;
    json_t *statement;
    json_array_foreach(statements, i, statement)
    {
        /* Cheap and certain questions first: what is unknown is told only when it decides. */
        enum truth match = matches_action(statement, request);
        if (match > NO) {
            enum truth who = matches_principal(statement, request);
            match = who < match ? who : match;
        }
        if (match > NO) {
            enum truth when = matches_conditions(statement, request);
            match = when < match ? when : match;
        }
        const char *effect = json_string_value(json_object_get(statement, "Effect"));
        bool deny = effect && strcmp(effect, "Deny") == 0;
        enum truth *side = deny ? &outcome.denied : &outcome.allowed;
        *side = match > *side ? match : *side;
    }
    return outcome;
}

/* With IAM the role's own policies may allow what this one leaves open. */
static enum truth may(const json_t *statements, const struct request *request)
{
    struct outcome outcome = evaluate(statements, request);
    enum truth allowed = request->iam ? YES : outcome.allowed;
    enum truth not_denied = opposite(outcome.denied);
    return allowed < not_denied ? allowed : not_denied;
}

static enum truth try_way(const json_t *statements, const struct request *way,
                          struct efs_policy_needs *ret_needs)
{
    struct efs_policy_needs needs = {
        .tls = way->tls, .iam = way->iam, .access_point = way->access_point};
    struct request request = *way;
    request.unknown = needs.unknown;
    request.action = "elasticfilesystem:ClientMount";
    enum truth mount = may(statements, &request);
    if (mount == NO)
        return NO;
    needs.verdict = mount == YES ? EFS_POLICY_ALLOWS : EFS_POLICY_DEPENDS;
    needs.role_decides = way->iam && evaluate(statements, &request).allowed != YES;
    if (mount == YES)
        needs.unknown[0] = '\0';
    char elsewhere[sizeof(needs.unknown)] = "";
    request.unknown = elsewhere;
    request.action = "elasticfilesystem:ClientWrite";
    needs.write = may(statements, &request) == YES;
    request.action = "elasticfilesystem:ClientRootAccess";
    needs.root = may(statements, &request) == YES;
    *ret_needs = needs;
    return mount;
}

int efs_policy_read(const char *text, const char *access_point, const char *role_arn,
                    struct efs_policy_needs *ret_needs, struct error *err)
{
    /* IAM and access points work only over TLS. */
    static const struct {
        bool tls, iam, access_point;
    } ways[] = {{false, false, false},
                {true, false, false},
                {true, true, false},
                {true, false, true},
                {true, true, true}};
    _cleanup_json_ json_t *root = NULL, *list = NULL;
    if (json_parse(text, strlen(text), &root, err) < 0) {
        error_prefix(err, "the file system policy");
        return -EBADMSG;
    }
    json_t *statements = json_object_get(root, "Statement");
    if (json_is_object(statements)) {
        list = json_pack("[O]", statements);
        statements = list;
    }
    if (!json_is_array(statements))
        return error_set(err, EBADMSG, "the file system policy has no Statement");

    struct efs_policy_needs best = {.verdict = EFS_POLICY_REFUSES}, needs;
    enum truth most = NO;
    for (size_t i = 0; i < ARRAY_LEN(ways) && most < YES; i++) {
        struct request way = {.tls = ways[i].tls,
                              .iam = ways[i].iam,
                              .access_point = ways[i].access_point,
                              .access_point_id = access_point,
                              .role_arn = role_arn};
        if (access_point[0] && !way.access_point)
            continue;
        enum truth found = try_way(statements, &way, &needs);
        if (found > most) {
            most = found;
            best = needs;
        }
    }
    *ret_needs = best;
    return 0;
}
