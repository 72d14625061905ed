/* Submits messages to this machine and prints their ids: one reliable and signed, then three at once. */
#include "check.h"

#include <string.h>

int main(int argc, char **argv)
{
    usage(argc, argv, 2, "SERVER-CONFIG SUBJECT");

    choria_submitter *submitter = NULL;
    check(choria_submitter_open(argv[1], NULL, &submitter), "open");

    const char *payload = "{\"backup\":\"done\"}";
    choria_draft *draft = NULL;
    check(choria_draft_new(argv[2], (const uint8_t *)payload, strlen(payload), &draft), "draft");
    check(choria_draft_set_reliable(draft, true), "reliable");
    check(choria_draft_set_sign(draft, true), "sign");
    check(choria_draft_set_priority(draft, 0), "priority");
    check(choria_draft_add_header(draft, "X-Job", "backup"), "header");

    char *id = NULL;
    check(choria_submitter_submit(submitter, draft, &id), "submit");
    printf("%s\n", id);
    choria_string_free(id);

    const choria_draft *drafts[3] = {draft, draft, draft};
    char *ids[3] = {NULL, NULL, NULL};
    size_t accepted = 0;
    check(choria_submitter_submit_many(submitter, drafts, 3, ids, &accepted), "submit many");
    for (size_t i = 0; i < accepted; i++) {
        printf("%s\n", ids[i]);
        choria_string_free(ids[i]);
    }

    /* A draft that breaks a rule is refused with a sentence. */
    choria_draft *bad = NULL;
    check(choria_draft_new("no wildcards.>", (const uint8_t *)"x", 1, &bad), "draft");
    choria_result refused = choria_submitter_submit(submitter, bad, &id);
    char *error = choria_submitter_error(submitter);
    fprintf(stderr, "%s: %s\n", choria_result_name(refused), error);
    choria_string_free(error);

    char *status = NULL;
    check(choria_submitter_status(submitter, &status), "status");
    fprintf(stderr, "%s\n", status);
    choria_string_free(status);

    choria_draft_free(bad);
    choria_draft_free(draft);
    choria_submitter_free(submitter);
    return refused == CHORIA_INVALID_MESSAGE ? 0 : 1;
}
