/* Reads submissions from a stream, verifies each, prints who is proven to have sent it, and acknowledges it. Ends when
 * COUNT messages were verified. */
#include "check.h"

int main(int argc, char **argv)
{
    usage(argc, argv, 6, "CLIENT-CONFIG STREAM DURABLE ORGANIZATION ISSUER-PUBLIC-KEY COUNT");
    long count = strtol(argv[6], NULL, 10);

    choria_client *client = NULL;
    choria_consumer *consumer = NULL;
    choria_trust *trust = NULL;
    check(choria_trust_new(&trust), "trust");
    check(choria_trust_add_issuer(trust, argv[4], argv[5]), "issuer");
    check(choria_client_open(argv[1], 20000, &client), "connect");
    check(choria_consumer_open(client, argv[2], argv[3], NULL, &consumer), "consumer");

    long verified = 0;
    while (verified < count) {
        choria_received *received = NULL;
        check(choria_consumer_next(consumer, 20000, &received), "next");
        choria_result result = choria_received_verify(received, trust, 3600, 0);
        size_t length = 0;
        const uint8_t *payload = choria_received_payload(received, &length);
        if (result == CHORIA_OK) {
            verified++;
            printf("%s %s from %s (%s): %.*s\n", choria_received_id(received), choria_received_subject(received),
                   choria_received_identity(received), choria_received_sender(received), (int)length,
                   (const char *)payload);
        } else {
            printf("%s not believed: %s\n", choria_received_id(received), choria_last_error());
        }
        check(choria_consumer_ack(consumer, received), "acknowledge");
        choria_received_free(received);
    }

    choria_consumer_free(consumer);
    choria_client_free(client);
    choria_trust_free(trust);
    return 0;
}
