//! `libchoria`: the C interface to submission, token verification and RPC.
