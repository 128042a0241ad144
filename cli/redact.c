#include "cli/redact.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/cleanup.h"

/* The last group is what goes. Account numbers stand alone or in ARNs and registry names; key ids
 * as AWS documents their prefixes; secrets and tokens behind a name, or in a URL. */
static const char *const patterns[] = {
    "(^|[^0-9A-Za-z])([0-9]{12})([^0-9]|$)",
    "((AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,})",
    "://([^/@ ]*):([^/@ ]+)@",
    "(token|secret|password|passwd|signature|credential|authorization|apikey|api_key)"
    "[a-z_-]*[\"' ]*[=:][\"' ]*(bearer )?([^\"' &,;]+)",
};

/* Of each pattern the group that goes. */
static const int groups[] = {2, 1, 2, 3};

static const char *const secret_names[] = {"token", "secret", "password", "authorization",
                                           "credential"};

static void overwrite(const char *pattern, int group, char *text)
{
    regex_t regex;
    regmatch_t found[4];
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE) != 0)
        abort(); /* the table is wrong */
    for (char *at = text; *at && regexec(&regex, at, 4, found, at > text ? REG_NOTBOL : 0) == 0;) {
        regoff_t begin = found[group].rm_so, end = found[group].rm_eo;
        memset(at + begin, '*', (size_t)(end - begin));
        at += end > 0 ? end : 1;
    }
    regfree(&regex);
}

void redact_text(char *text)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        overwrite(patterns[i], groups[i], text);
}

/* A lock's fencing token is a number that people compare: "G.N" stays. */
static bool is_secret(const char *key, const char *value)
{
    if (strspn(value, "0123456789.") == strlen(value))
        return false;
    for (size_t i = 0; i < sizeof(secret_names) / sizeof(secret_names[0]); i++)
        if (strcasestr(key, secret_names[i]))
            return true;
    return false;
}

static int redact_string(json_t *value, const char *key)
{
    _cleanup_free_ char *text = strdup(json_string_value(value));
    if (!text)
        return -ENOMEM;
    if (key && is_secret(key, text))
        memset(text, '*', strlen(text));
    else
        redact_text(text);
    return json_string_set_nocheck(value, text) < 0 ? -ENOMEM : 0;
}

static int redact_value(json_t *value, const char *key)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_string(value))
        return redact_string(value, key);
    json_object_foreach(value, name, member)
    {
        if (redact_value(member, name) < 0)
            return -ENOMEM;
    }
    json_array_foreach(value, i, member)
    {
        if (redact_value(member, key) < 0)
            return -ENOMEM;
    }
    return 0;
}

int redact_json(json_t *root)
{
    return redact_value(root, NULL);
}
