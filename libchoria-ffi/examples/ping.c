/* Asks every node for `rpcutil ping` and prints the answers as they arrive, through a callback. */
#include "check.h"

static bool print(const choria_event *event, void *user)
{
    int *answers = (int *)user;
    size_t length = 0;
    const char *data = choria_event_data(event, &length);
    switch (choria_event_get_kind(event)) {
    case CHORIA_EVENT_REPLY:
        *answers += 1;
        printf("%s %d %s%s %.*s\n", choria_event_sender(event), choria_event_status(event), choria_event_message(event),
               choria_event_is_verified(event) ? " (verified)" : "", (int)length, data);
        break;
    case CHORIA_EVENT_DONE:
        printf("done %.*s\n", (int)length, data);
        break;
    default:
        fprintf(stderr, "%s: %s\n", choria_event_sender(event), choria_event_message(event));
        break;
    }
    return true;
}

static bool stop(const choria_event *event, void *user)
{
    (void)event;
    (void)user;
    return false;
}

int main(int argc, char **argv)
{
    usage(argc, argv, 1, "CLIENT-CONFIG");

    choria_client *client = NULL;
    choria_request *request = NULL;
    int answers = 0;
    check(choria_client_open(argv[1], 20000, &client), "connect");
    printf("as %s\n", choria_client_caller(client));
    check(choria_request_new("rpcutil", "ping", &request), "request");
    check(choria_client_call(client, request, print, &answers), "call");

    /* A callback that returns false ends the request. */
    choria_result cancelled = choria_client_call(client, request, stop, NULL);

    /* What the DDL does not allow is not sent. */
    choria_result unfit = CHORIA_OK;
    check(choria_request_set_input(request, "surprise", "5"), "input");
    unfit = choria_client_call(client, request, print, &answers);
    fprintf(stderr, "%s: %s\n", choria_result_name(unfit), choria_last_error());

    choria_request_free(request);
    choria_client_free(client);
    return answers > 0 && cancelled == CHORIA_CANCELLED && unfit == CHORIA_INVALID_REQUEST ? 0 : 1;
}
