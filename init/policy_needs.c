#include "init/policy_needs.h"

#include <stdio.h>

#include "lib/cleanup.h"

/* With IAM the role's own policies may allow what this one leaves open. */
static enum policy_verdict verdict_of(enum policy_effect effect, bool iam)
{
    switch (effect) {
    case POLICY_ALLOWS:
        return POLICY_TAKES;
    case POLICY_SILENT:
        return iam ? POLICY_TAKES : POLICY_REFUSES;
    case POLICY_MAY_ALLOW:
        return iam ? POLICY_TAKES : POLICY_DEPENDS;
    case POLICY_MAY_DENY:
        return POLICY_DEPENDS;
    case POLICY_DENIES:
        break;
    }
    return POLICY_REFUSES;
}

int policy_needs_read(const char *text, const struct policy_way *way,
                      struct policy_needs *ret_needs, struct error *err)
{
    /* IAM and access points work only over TLS. */
    static const struct {
        bool tls, iam, access_point;
    } ways[] = {{false, false, false},
                {true, false, false},
                {true, true, false},
                {true, false, true},
                {true, true, true}};
    struct policy_needs best = {.verdict = POLICY_REFUSES};
    for (size_t i = 0; i < ARRAY_LEN(ways) && best.verdict < POLICY_TAKES; i++) {
        bool iam = ways[i].iam;
        struct policy_judgement judged;
        struct policy_subject subject = {
            .role_arn = way->role_arn,
            .anonymous = !iam,
            .access_point_arn = way->point_arn,
            .no_access_point = !ways[i].access_point,
            .no_tls = !ways[i].tls,
        };
        if (way->through_point && !ways[i].access_point)
            continue;
        if (!ways[i].access_point)
            subject.access_point_arn = "";
        int r = policy_judge(text, &subject, &judged, err);
        if (r < 0)
            return r;
        enum policy_verdict verdict = verdict_of(judged.effects[POLICY_MOUNT], iam);
        if (verdict <= best.verdict)
            continue;
        best = (struct policy_needs){
            .verdict = verdict,
            .tls = ways[i].tls,
            .iam = iam,
            .access_point = ways[i].access_point,
            .write = verdict_of(judged.effects[POLICY_WRITE], iam) == POLICY_TAKES,
            .root = verdict_of(judged.effects[POLICY_ROOT], iam) == POLICY_TAKES,
            .role_decides = iam && judged.effects[POLICY_MOUNT] != POLICY_ALLOWS,
        };
        if (verdict == POLICY_DEPENDS)
            snprintf(best.statement, sizeof(best.statement), "%s", judged.statements[POLICY_MOUNT]);
    }
    *ret_needs = best;
    return 0;
}
