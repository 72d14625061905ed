/* Verifies a token file against an organization's issuer and prints whose it is and what it permits. */
#include "check.h"

int main(int argc, char **argv)
{
    usage(argc, argv, 3, "ORGANIZATION ISSUER-PUBLIC-KEY TOKEN-FILE");

    choria_trust *trust = NULL;
    check(choria_trust_new(&trust), "trust");
    check(choria_trust_add_issuer(trust, argv[1], argv[2]), "issuer");

    choria_token *token = NULL;
    choria_result result = choria_token_verify_file(trust, argv[3], 0, &token);
    if (result == CHORIA_OK) {
        size_t length = 0;
        const char *claims = choria_token_claims(token, &length);
        printf("kind %d identity %s organization %s expires %lld submission %s\n", (int)choria_token_get_kind(token),
               choria_token_identity(token), choria_token_organization(token), (long long)choria_token_expires(token),
               choria_token_permits(token, "submission") ? "yes" : "no");
        fprintf(stderr, "%.*s\n", (int)length, claims);
    } else {
        printf("%s: %s\n", choria_result_name(result), choria_last_error());
    }

    /* Signing and verifying with a key of one's own. */
    choria_seed *seed = NULL;
    char *signature = NULL;
    const uint8_t data[] = "what is signed";
    check(choria_seed_generate(&seed), "seed");
    check(choria_seed_sign(seed, data, sizeof data, &signature), "sign");
    check(choria_signature_verify(choria_seed_public_key(seed), data, sizeof data, signature), "verify");

    choria_string_free(signature);
    choria_seed_free(seed);
    choria_token_free(token);
    choria_trust_free(trust);
    return result == CHORIA_OK ? 0 : 1;
}
