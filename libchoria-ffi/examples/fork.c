/* What fork() does: in the child the parent's client answers CHORIA_FORKED and can be freed, and a new one works. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static int nodes(const choria_client *client)
{
    choria_request *request = NULL;
    choria_replies *replies = NULL;
    int answers = 0;
    check(choria_request_new("discovery", "ping", &request), "request");
    check(choria_client_ping(client, request, &replies), "ping");
    for (;;) {
        choria_event *event = NULL;
        choria_result result = choria_replies_next(replies, -1, &event);
        if (result == CHORIA_END)
            break;
        check(result, "next");
        answers += choria_event_get_kind(event) == CHORIA_EVENT_PONG;
        choria_event_free(event);
    }
    choria_replies_free(replies);
    choria_request_free(request);
    return answers;
}

static int child(const char *config, choria_client *client, choria_replies *replies)
{
    choria_event *event = NULL;
    choria_replies *mine = NULL;
    choria_result next = choria_replies_next(replies, -1, &event);
    choria_result ping = choria_client_ping(client, NULL, &mine);
    printf("child: next %s, ping %s\n", choria_result_name(next), choria_result_name(ping));
    choria_replies_cancel(replies);
    choria_replies_free(replies);
    choria_client_free(client);

    choria_client *own = NULL;
    check(choria_client_open(config, 20000, &own), "child: connect");
    int answers = nodes(own);
    printf("child: %d nodes answer a client of its own\n", answers);
    choria_client_free(own);
    return next == CHORIA_FORKED && ping == CHORIA_FORKED && answers > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    usage(argc, argv, 1, "CLIENT-CONFIG");

    choria_client *client = NULL;
    choria_replies *replies = NULL;
    check(choria_client_open(argv[1], 20000, &client), "connect");
    check(choria_client_ping(client, NULL, &replies), "ping");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0)
        return child(argv[1], client, replies);

    int status = 1;
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    choria_replies_free(replies);
    int answers = nodes(client);
    printf("parent: %d nodes answer its client after the fork\n", answers);
    choria_client_free(client);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && answers > 0 ? 0 : 1;
}
