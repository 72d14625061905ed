/* A request in an event loop: poll() on the descriptor of the replies, which are taken without waiting. Then one that is
 * cancelled by another thread. */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

static void *cancel(void *replies)
{
    choria_replies_cancel((const choria_replies *)replies);
    return NULL;
}

int main(int argc, char **argv)
{
    usage(argc, argv, 1, "CLIENT-CONFIG");

    choria_client *client = NULL;
    choria_request *request = NULL;
    check(choria_client_open(argv[1], 20000, &client), "connect");
    check(choria_request_new("rpcutil", "get_fact", &request), "request");
    check(choria_request_set_input_text(request, "fact", "no_such_fact"), "input");
    check(choria_request_add_identity(request, "/./"), "filter");
    check(choria_request_set_timeout(request, 5000), "timeout");

    char *nodes = NULL;
    check(choria_client_discover(client, request, &nodes), "discover");
    printf("nodes %s\n", nodes);
    choria_string_free(nodes);

    choria_replies *replies = NULL;
    check(choria_client_request(client, request, &replies), "send");
    printf("request %s\n", choria_replies_request_id(replies));
    int answers = 0;
    for (;;) {
        struct pollfd waiting = {choria_replies_fd(replies), POLLIN, 0};
        if (poll(&waiting, 1, 20000) != 1)
            return 1;
        choria_event *event = NULL;
        choria_result result = choria_replies_next(replies, 0, &event);
        if (result == CHORIA_END)
            break;
        if (result == CHORIA_TIMEOUT)
            continue;
        check(result, "next");
        printf("%s %s\n", choria_event_sender(event), choria_event_data(event, NULL));
        answers += choria_event_get_kind(event) == CHORIA_EVENT_REPLY;
        choria_event_free(event);
    }
    choria_replies_free(replies);

    /* A ping that nobody answers is cancelled by another thread. */
    choria_request *nobody = NULL;
    check(choria_request_new("discovery", "ping", &nobody), "request");
    check(choria_request_add_identity(nobody, "nobody.example.net"), "filter");
    check(choria_request_set_timeout(nobody, 60000), "timeout");
    check(choria_client_ping(client, nobody, &replies), "ping");
    pthread_t thread;
    if (pthread_create(&thread, NULL, cancel, replies) != 0)
        return 1;
    choria_event *event = NULL;
    choria_result cancelled = choria_replies_next(replies, -1, &event);
    pthread_join(thread, NULL);

    /* Freeing the client ends what goes on, and the handles can be freed after it. */
    choria_replies *ended = NULL;
    check(choria_client_ping(client, nobody, &ended), "ping");
    choria_client_free(client);
    choria_result over = choria_replies_next(ended, -1, &event);

    choria_replies_free(ended);
    choria_replies_free(replies);
    choria_request_free(nobody);
    choria_request_free(request);
    return answers > 0 && cancelled == CHORIA_CANCELLED && over == CHORIA_CANCELLED ? 0 : 1;
}
