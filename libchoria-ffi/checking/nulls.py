"""A C program that gives every function NULL for each pointer, and text that is not UTF-8 for each text.

It is made from the header, so a new function is tried too. Where NULL means something, the header's documentation says so,
and the list here has it.
"""

# Function and parameter, or any function's parameter, for which NULL is allowed.
NULL_IS_ALLOWED = {
    ("choria_submitter_open", "config"),
    ("choria_submitter_open", "socket"),
    ("choria_server_status", "socket"),
    ("choria_trust_from_config", "config"),
    ("choria_client_open", "config"),
    ("choria_client_discover", "filters"),
    ("choria_client_ping", "filters"),
    ("choria_client_call", "user"),
    ("choria_consumer_open", "durable"),
    ("choria_consumer_open", "filter"),
}

# What functions that have no result answer for NULL.
ANSWERS = {
    "const char *": '({0}) != NULL && *({0}) == 0',
    "char *": "({0}) == NULL",
    "const uint8_t *": "({0}) == NULL",
    "bool": "!({0})",
    "int": "({0}) == -1",
}
NULL_ANSWERS = {"choria_received_header": "({0}) == NULL"}

HEAD = """
#include "check.h"

static int tried, wrong;

static void refused(choria_result result, const char *call)
{
    tried++;
    if (result != CHORIA_INVALID_ARGUMENT || *choria_last_error() == 0) {
        wrong++;
        fprintf(stderr, "%s: %s: %s\\n", call, choria_result_name(result), choria_last_error());
    }
}

static void answered(bool as_expected, const char *call)
{
    tried++;
    if (!as_expected) {
        wrong++;
        fprintf(stderr, "%s: another answer than documented\\n", call);
    }
}

static bool on(const choria_event *event, void *user)
{
    (void)event;
    (void)user;
    return true;
}

int main(int argc, char **argv)
{
    usage(argc, argv, 3, "CLIENT-CONFIG SERVER-CONFIG STREAM");
    choria_submitter *submitter = NULL;
    choria_draft *draft = NULL;
    choria_trust *trust = NULL;
    choria_token *token = NULL;
    choria_seed *seed = NULL;
    choria_received *received = NULL;
    choria_client *client = NULL;
    choria_request *request = NULL, *filters = NULL;
    choria_replies *replies = NULL;
    choria_event *event = NULL;
    choria_consumer *consumer = NULL;
    size_t length = 0, accepted = 0;
    char *text = NULL;
    (void)token;
    check(choria_submitter_open(argv[2], NULL, &submitter), "submitter");
    check(choria_draft_new("local.nulls", (const uint8_t *)"x", 1, &draft), "draft");
    check(choria_trust_new(&trust), "trust");
    check(choria_seed_generate(&seed), "seed");
    check(choria_received_new("a", (const uint8_t *)"x", 1, &received), "received");
    check(choria_client_open(argv[1], 20000, &client), "client");
    check(choria_request_new("rpcutil", "ping", &request), "request");
    check(choria_request_new("rpcutil", "ping", &filters), "filters");
    check(choria_client_ping(client, NULL, &replies), "replies");
    check(choria_replies_next(replies, -1, &event), "event");
    check(choria_consumer_open(client, argv[3], NULL, NULL, &consumer), "consumer");
    const choria_draft *drafts[1] = {draft};
    char *ids[1] = {NULL};
"""

TAIL = """
    /* All that went wrong left the handles as they were. */
    check(choria_submitter_submit(submitter, draft, &text), "submit after errors");
    choria_string_free(text);
    check(choria_client_discover(client, NULL, &text), "discover after errors");
    choria_string_free(text);
    choria_event_free(event);
    choria_consumer_free(consumer);
    choria_replies_free(replies);
    choria_request_free(filters);
    choria_request_free(request);
    choria_client_free(client);
    choria_received_free(received);
    choria_seed_free(seed);
    choria_trust_free(trust);
    choria_draft_free(draft);
    choria_submitter_free(submitter);
    printf("%d calls, %d wrong\\n", tried, wrong);
    return wrong == 0 ? 0 : 1;
}
"""


def program(functions):
    """The program's text."""
    lines = [HEAD]
    for function in functions:
        pointers = [p for p in function.parameters if "*" in p.type or p.type == "choria_event_callback"]
        if function.result == "void":
            lines += [f"    {function.name}(NULL);"]
            continue
        for pointer in pointers:
            allowed = (function.name, pointer.name) in NULL_IS_ALLOWED
            if not allowed and not (pointer.type == "size_t *" and pointer.name == "length"):
                lines += attempt(function, pointer, "NULL")
            if pointer.type == "const char *" and function.result == "choria_result":
                lines += attempt(function, pointer, '"\\xff"')
    return "\n".join(lines) + TAIL


def attempt(function, odd, value):
    """One call, with `value` for the parameter `odd`."""
    arguments = [value if one is odd else usual(one) for one in function.parameters]
    call = f"{function.name}({', '.join(arguments)})"
    shown = call.replace("\\", "\\\\").replace('"', '\\"')
    if function.result == "choria_result":
        return [f'    refused({call}, "{shown}");']
    expected = NULL_ANSWERS.get(function.name) or ANSWERS.get(function.result, "({0}) == 0")
    return [f'    answered({expected.format(call)}, "{shown}");']


def usual(parameter):
    """What is given for a parameter that is not the one in question."""
    kind, name = parameter
    if kind == "char **" and name == "ids" or kind == "const choria_draft *const *":
        return name
    if kind.startswith("choria_") and kind.endswith("**"):
        return f"&{kind.split('_')[1].split()[0]}"
    if kind.endswith("**"):
        return "&text"
    if kind == "size_t *":
        return f"&{name}"
    if kind == "const uint8_t *":
        return '(const uint8_t *)"x"'
    if kind in ("const char *", "char *"):
        return '"x"'
    if kind == "choria_event_callback":
        return "on"
    if kind.endswith("*"):
        return "NULL" if "void" in kind else name
    return "1"
