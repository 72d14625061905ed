//! Security: identities, tokens, certificates and trust (spec 04b §8).

use super::CIPHER_SUITES;
use crate::key::{Boolean, CommaList, Integer, PathText, Text};
use crate::rule::Rule;

keys! {
    "Security";

    SECURITY_PROVIDER: Text = key("plugin.security.provider",
        "What proves who this process is and checks who others are.")
        .default("puppet").one_of(&["puppet", "file", "pkcs11", "certmanager", "choria"]);

    SECURITY_SERVER_ANON_TLS: Boolean = key("plugin.security.server_anon_tls",
        "Whether a server uses TLS without checking the broker, and proves itself with its token.")
        .default("false");

    SECURITY_CLIENT_ANON_TLS: Boolean = key("plugin.security.client_anon_tls",
        "Whether a client uses TLS without checking the broker; needs a remote signer.")
        .default("false");

    LOGIN_AAASVC_LOGIN_URL: CommaList = key("plugin.login.aaasvc.login.url",
        "Addresses where `choria login` logs in: one chosen at random, the others when it cannot be reached.")
        .url("https://choria-io.github.io/aaasvc/");

    SECURITY_CIPHER_SUITES: CommaList = key("plugin.security.cipher_suites",
        "TLS cipher suites that may be used. When unset all secure ones.")
        .one_of(CIPHER_SUITES);

    SECURITY_ECC_CURVES: CommaList = key("plugin.security.ecc_curves",
        "TLS key exchange curves that may be used. When unset `X25519`, `CurveP256`, `CurveP384` and \
         `CurveP521`.")
        .one_of(&["X25519", "CurveP256", "CurveP384", "CurveP521"]);

    SECURITY_ISSUER_NAMES: CommaList = key("plugin.security.issuer.names",
        "Names of the organization issuers that are trusted; the key of each stands in \
         `plugin.security.issuer.<name>.public`.");

    SECURITY_SERVER_TOKEN_FILE: PathText = key("plugin.choria.security.server.token_file",
        "Token of a server. With `plugin.security.server_anon_tls` and unset: `server.jwt` beside the \
         configuration file. Not with the provider `choria`.");

    SECURITY_SERVER_SEED_FILE: PathText = key("plugin.choria.security.server.seed_file",
        "Seed of a server. With `plugin.security.server_anon_tls` and unset: `server.seed` beside the \
         configuration file. Not with the provider `choria`.");

    SSLDIR: PathText = key("plugin.choria.ssldir",
        "Directory of keys and certificates. When unset that of Puppet; setting it saves asking Puppet. \
         The provider `certmanager` needs it.");

    SECURITY_PRIVILEGED_USERS: CommaList = key("plugin.choria.security.privileged_users",
        "Expressions matching the names of certificates that may speak for other callers.")
        .default(r"\.privileged.mcollective$,\.privileged.choria$").url("https://choria.io/docs/configuration/aaa/");

    SECURITY_CERTNAME_WHITELIST: CommaList = key("plugin.choria.security.certname_whitelist",
        "Expressions matching the names of certificates that may be clients.")
        .default(r"\.mcollective$,\.choria$");

    SECURITY_SUPPORT_LEGACY_CERTIFICATES: Boolean = key("plugin.security.support_legacy_certificates",
        "Whether certificates without alternative names are accepted.")
        .default("false");

    SECURITY_REQUEST_SIGNER_SEED_FILE: PathText = key("plugin.choria.security.request_signer.seed_file",
        "Seed used towards the service that signs requests. Not with the provider `choria`.")
        .url("https://github.com/choria-io/aaasvc");

    SECURITY_REQUEST_SIGNER_TOKEN_FILE: PathText = key("plugin.choria.security.request_signer.token_file",
        "Token used towards the service that signs requests. Not with the provider `choria`.")
        .url("https://github.com/choria-io/aaasvc");

    SECURITY_REQUEST_SIGNER_URL: Text = key("plugin.choria.security.request_signer.url",
        "Address of the HTTP service that signs requests, as `https://HOST:8443/choria/v1/sign`. Its certificate is \
         checked where a CA is configured.")
        .url("https://choria-io.github.io/aaasvc/");

    SECURITY_REQUEST_SIGNER_SERVICE: Boolean = key("plugin.choria.security.request_signer.service",
        "Whether requests are signed by the AAA service over Choria's own network; wins over the address.")
        .url("https://choria-io.github.io/aaasvc/");

    SECURITY_CHORIA_TRUSTED_SIGNERS: CommaList = key("plugin.security.choria.trusted_signers",
        "Public keys that may sign tokens, where no organization issuer is used.")
        .rule(Rule::PublicKey);

    SECURITY_CHORIA_CERTIFICATE: PathText = key("plugin.security.choria.certificate",
        "Certificate of this process, for TLS with the provider `choria`; optional.");

    SECURITY_CHORIA_KEY: PathText = key("plugin.security.choria.key",
        "Private key of that certificate; optional.");

    SECURITY_CHORIA_CA: PathText = key("plugin.security.choria.ca",
        "Certificate authority that brokers must prove; without it they are not checked. On brokers it \
         also admits plain NATS clients with a certificate.");

    SECURITY_CHORIA_TOKEN_FILE: PathText = key("plugin.security.choria.token_file",
        "Token of this process, for the provider `choria`.");

    SECURITY_CHORIA_SEED_FILE: PathText = key("plugin.security.choria.seed_file",
        "Seed of this process, for the provider `choria`.");

    SECURITY_CHORIA_SIGN_REPLIES: Boolean = key("plugin.security.choria.sign_replies",
        "Whether a server signs its replies; without signatures replies are smaller and their origin is \
         not proven.")
        .default("true");

    SECURITY_FILE_CERTIFICATE: PathText = key("plugin.security.file.certificate",
        "Certificate of this process, for the provider `file`.");

    SECURITY_FILE_KEY: PathText = key("plugin.security.file.key",
        "Private key of this process, for the provider `file`.");

    SECURITY_FILE_CA: PathText = key("plugin.security.file.ca",
        "Certificate authority, for the provider `file`.");

    SECURITY_CERTMANAGER_NAMESPACE: Text = key("plugin.security.certmanager.namespace",
        "Kubernetes namespace of the Cert Manager issuer.")
        .default("choria");

    SECURITY_CERTMANAGER_ISSUER: Text = key("plugin.security.certmanager.issuer",
        "Name of the Cert Manager issuer.");

    SECURITY_CERTMANAGER_REPLACE: Boolean = key("plugin.security.certmanager.replace",
        "Whether an existing signing request is replaced.")
        .default("true");

    SECURITY_CERTMANAGER_ALT_NAMES: CommaList = key("plugin.security.certmanager.alt_names",
        "Further names to ask for in the certificate.");

    SECURITY_CERTMANAGER_API_VERSION: Text = key("plugin.security.certmanager.api_version",
        "Version of the Cert Manager interface.")
        .default("v1");

    SECURITY_PKCS11_DRIVER_FILE: PathText = key("plugin.security.pkcs11.driver_file",
        "Library that drives the PKCS#11 token.")
        .url("https://choria.io/blog/post/2019/09/09/pkcs11/");

    SECURITY_PKCS11_SLOT: Integer = key("plugin.security.pkcs11.slot",
        "Slot of the PKCS#11 token.")
        .rule(Rule::Between(0, i64::MAX)).url("https://choria.io/blog/post/2019/09/09/pkcs11/");

}
