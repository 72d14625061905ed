/* One submitter, one client and one trust used by many threads at once; each thread has errors of its own. */
#include "check.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 5 };

struct shared {
    const choria_submitter *submitter;
    const choria_client *client;
    const char *subject;
};

static void *work(void *argument)
{
    const struct shared *shared = (const struct shared *)argument;
    for (int round = 0; round < ROUNDS; round++) {
        choria_draft *draft = NULL;
        char *id = NULL;
        check(choria_draft_new(shared->subject, (const uint8_t *)"threads", 7, &draft), "draft");
        check(choria_submitter_submit(shared->submitter, draft, &id), "submit");
        choria_string_free(id);

        id = NULL;
        choria_draft *bad = NULL;
        check(choria_draft_new("a..b", (const uint8_t *)"x", 1, &bad), "draft");
        if (choria_submitter_submit(shared->submitter, bad, &id) != CHORIA_INVALID_MESSAGE || id != NULL ||
            strlen(choria_last_error()) == 0)
            exit(1);
        choria_draft_free(bad);
        choria_draft_free(draft);
    }
    char *nodes = NULL;
    check(choria_client_discover(shared->client, NULL, &nodes), "discover");
    choria_string_free(nodes);
    return NULL;
}

int main(int argc, char **argv)
{
    usage(argc, argv, 3, "CLIENT-CONFIG SERVER-CONFIG SUBJECT");

    choria_client *client = NULL;
    choria_submitter *submitter = NULL;
    check(choria_client_open(argv[1], 20000, &client), "connect");
    check(choria_submitter_open(argv[2], NULL, &submitter), "open");
    struct shared shared = {submitter, client, argv[3]};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &shared) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (strlen(choria_last_error()) != 0)
        return 1;
    printf("%d threads submitted %d messages\n", (int)THREADS, (int)THREADS * ROUNDS);
    choria_submitter_free(submitter);
    choria_client_free(client);
    return 0;
}
