//! The Choria AAA service as a library: logins over HTTPS, signatures over HTTPS and RPC, authorization and audit.
