#include "lib/explain/match.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { CANDIDATES_MAX = 16 };

/* ---- what matches ---- */

struct candidates {
    size_t n;
    struct explain_match at[CANDIDATES_MAX];
};

static bool surer(const struct explain_match *a, const struct explain_match *b)
{
    if (a->entry->level != b->entry->level)
        return a->entry->level < b->entry->level;
    return a->found.literal > b->found.literal;
}

/* Keep them in order; the last one makes room. */
static void add(struct candidates *candidates, const struct explain_match *match)
{
    size_t i = candidates->n;
    if (i == CANDIDATES_MAX) {
        if (!surer(match, &candidates->at[i - 1]))
            return;
        i--;
    } else {
        candidates->n++;
    }
    for (; i > 0 && surer(match, &candidates->at[i - 1]); i--)
        candidates->at[i] = candidates->at[i - 1];
    candidates->at[i] = *match;
}

static bool best_form(const struct explain_text *text, const struct explain_entry *entry,
                      struct explain_match *ret_match)
{
    *ret_match = (struct explain_match){.entry = entry};
    for (const char *const *form = entry->forms; *form; form++) {
        struct explain_found found;
        if (explain_form_find(text, *form, &found) && found.literal > ret_match->found.literal) {
            ret_match->form = *form;
            ret_match->found = found;
        }
    }
    return ret_match->form != NULL;
}

/* A part of what a better match covers says nothing new, nor does a symptom beside its cause. */
static bool redundant(const struct explain_result *result, const struct explain_match *match)
{
    if (result->n > 0 && match->entry->level == LEVEL_SYMPTOM)
        return true;
    for (size_t i = 0; i < result->n; i++)
        if (match->found.start >= result->at[i].found.start &&
            match->found.end <= result->at[i].found.end)
            return true;
    return false;
}

/* ---- what comes near ---- */

static bool is_letter(char c)
{
    return isalpha((unsigned char)c);
}

static bool has_word(const struct explain_text *text, const char *word, size_t length)
{
    enum { LOOK_AT_MAX = 16 * 1024 };
    size_t look_at = text->length < LOOK_AT_MAX ? text->length : LOOK_AT_MAX;
    const char *p = text->lower, *end = p + look_at;
    while ((p = memmem(p, (size_t)(end - p), word, length))) {
        if ((p == text->lower || !is_letter(p[-1])) && !is_letter(p[length]))
            return true;
        p++;
    }
    return false;
}

/* How much of the form's words the text has: letters that are there, times their share of all, so
 * that much of a long form counts more than all of a short one. Words of up to three letters are in
 * every text. */
static unsigned int nearness(const struct explain_text *text, const char *form)
{
    enum { SHORT_WORD = 3, ENOUGH = 8, SHARE_MIN = 30 };
    size_t all = 0, there = 0;
    for (const char *p = form; *p;) {
        size_t length = 0;
        while (is_letter(p[length]))
            length++;
        if (*p == '{') {
            length = strcspn(p, "}") + 1;
        } else if (length > SHORT_WORD) {
            all += length;
            there += has_word(text, p, length) ? length : 0;
        }
        p += length ? length : 1;
    }
    return there < ENOUGH || there * 100 < all * SHARE_MIN ? 0
                                                           : (unsigned int)(there * there / all);
}

static void find_nearest(const struct explain_text *text, struct explain_result *result)
{
    unsigned int best[EXPLAIN_NEAREST_MAX];
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++) {
        unsigned int near = 0;
        for (const char *const *form = entry->forms; *form; form++) {
            unsigned int now = nearness(text, *form);
            near = now > near ? now : near;
        }
        if (near == 0)
            continue;
        size_t at = result->n_nearest;
        if (at < EXPLAIN_NEAREST_MAX)
            result->n_nearest++;
        else if (near <= best[--at])
            continue;
        for (; at > 0 && near > best[at - 1]; at--) {
            best[at] = best[at - 1];
            result->nearest[at] = result->nearest[at - 1];
        }
        best[at] = near;
        result->nearest[at] = entry;
    }
}

static void match_text(const struct explain_text *text, struct explain_result *result)
{
    struct candidates candidates = {0};
    struct explain_match match;
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++)
        if (best_form(text, entry, &match))
            add(&candidates, &match);

    explain_values_scan(text, &result->values);
    for (size_t i = 0; i < candidates.n && result->n < EXPLAIN_MATCHES_MAX; i++) {
        const struct explain_match *found = &candidates.at[i];
        if (redundant(result, found))
            continue;
        explain_form_values(text, found->form, &found->found, &result->values);
        result->at[result->n++] = *found;
    }
    if (result->n == 0)
        find_nearest(text, result);
}

int explain_match(const char *raw, size_t length, struct explain_result *result)
{
    struct explain_text text;
    int r = explain_text_make(raw, length, &text);
    if (r < 0)
        return r;
    result->n = result->n_nearest = 0;
    match_text(&text, result);
    explain_text_release(&text);
    return 0;
}
