/* Names in directories of claims, which any task can make. What is understood is named alike. */
#include <string.h>

#include "lib/cleanup.h"
#include "sidecar/claim_file.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    _cleanup_free_ char *name = strndup(text, length);
    char again[CLAIM_DIR_TEXT];
    struct owner owner = {0}, same_owner = {0};
    struct claim_part part = {0}, same_part = {0};
    uint64_t k = 0;
    unsigned attempts = 0;
    bool known = false;
    MUST(name);
    if (claim_file_parse_owner(name, &owner) == 0) {
        MUST(claim_file_parse_owner(claim_file_owner_name(&owner, again), &same_owner) == 0);
        MUST(owner.slot == same_owner.slot && owner.epoch == same_owner.epoch);
        known = true;
    }
    if (claim_file_parse_part(name, &part) == 0) {
        MUST(part.attempts <= CLAIM_ATTEMPTS_MAX);
        MUST(claim_file_parse_part(claim_file_part_name(&part, again), &same_part) == 0);
        MUST(part.k == same_part.k && part.attempts == same_part.attempts);
        known = true;
    }
    if (claim_file_parse_retry(name, &attempts) == 0) {
        MUST(attempts <= CLAIM_ATTEMPTS_MAX);
        known = true;
    }
    known = claim_file_parse_queue(name, &k) == 0 || known;
    return known && claim_file_is_item(name) ? 0 : -1;
}
