/* How fast programs can submit, and what it costs them: THREADS threads, one message a call and many.
 *
 *   libchoria-ffi/bench/run SERVER-CONFIG [SUBJECT]      builds this and runs it for 1, 4 and 16 threads
 *
 * The configuration decides the way: with its service listening the socket is used, without it the spool is written. CPU is
 * that of this process, user and system; the service's is not in it. The numbers are the disk's more than anybody's: every
 * message is on it before its call returns. */
#include <choria.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 64 };

struct worker {
    pthread_t thread;
    const choria_submitter *submitter;
    const char *subject;
    size_t calls;
    size_t batch;
    size_t failed;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void *work(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    uint8_t payload[256];
    memset(payload, 'x', sizeof payload);
    choria_draft *draft = NULL;
    if (choria_draft_new(worker->subject, payload, sizeof payload, &draft) != CHORIA_OK)
        exit(1);
    const choria_draft *drafts[BATCH];
    char *ids[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        drafts[i] = draft;
    for (size_t call = 0; call < worker->calls; call++) {
        size_t accepted = 0;
        memset(ids, 0, sizeof ids);
        choria_result result =
            worker->batch == 1 ? choria_submitter_submit(worker->submitter, draft, &ids[0])
                               : choria_submitter_submit_many(worker->submitter, drafts, worker->batch, ids, &accepted);
        if (result != CHORIA_OK && worker->failed++ == 0)
            fprintf(stderr, "%s: %s\n", choria_result_name(result), choria_last_error());
        for (size_t i = 0; i < worker->batch; i++)
            choria_string_free(ids[i]);
    }
    choria_draft_free(draft);
    return NULL;
}

static void measure(const choria_submitter *submitter, const char *subject, size_t threads, size_t batch, size_t messages)
{
    struct worker *workers = (struct worker *)calloc(threads, sizeof *workers);
    if (workers == NULL)
        exit(1);
    size_t calls = messages / threads / batch;
    double started = now(), used = cpu();
    for (size_t i = 0; i < threads; i++) {
        struct worker worker = {0};
        worker.submitter = submitter;
        worker.subject = subject;
        worker.calls = calls;
        worker.batch = batch;
        workers[i] = worker;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            exit(1);
    }
    size_t failed = 0;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        failed += workers[i].failed;
    }
    double took = now() - started, total = (double)(calls * threads * batch);
    printf("%7zu  %10zu  %12.0f  %15.3f  %6zu\n", threads, batch, total / took, (cpu() - used) / total * 1e3, failed);
    fflush(stdout);
    free(workers);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s SERVER-CONFIG SUBJECT MESSAGES\n", argv[0]);
        return 2;
    }
    double before = now();
    choria_submitter *submitter = NULL;
    if (choria_submitter_open(argv[1], NULL, &submitter) != CHORIA_OK) {
        fprintf(stderr, "%s\n", choria_last_error());
        return 1;
    }
    printf("first call after load: %.2f ms\n", (now() - before) * 1e3);
    size_t messages = strtoul(argv[3], NULL, 10);
    printf("threads  messages/call  messages/s  CPU ms/message  failed\n");
    size_t counts[] = {1, 4, 16};
    for (size_t i = 0; i < 3; i++) {
        measure(submitter, argv[2], counts[i], 1, messages);
        measure(submitter, argv[2], counts[i], BATCH, messages);
    }
    choria_submitter_free(submitter);
    return 0;
}
