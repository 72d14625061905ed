//! `discovery`: says that this node is here; its filter does the work (spec 03b §1.1). Not RPC, never authorized.

use super::metadata;
use crate::admit::Admitted;
use crate::agent::{Agent, Metadata, Unanswered};
use crate::node::Node;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use names::InvalidName;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Discovery(Metadata);

impl Discovery {
    pub(super) fn new() -> Result<Self, InvalidName> {
        metadata("discovery", "Discovery Agent", "http://choria.io", 2).map(Self)
    }
}

impl Agent for Discovery {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    /// A body that holds `ping` anywhere is answered with `pong`.
    fn handle(&self, request: Admitted, _node: Arc<Node>) -> BoxFuture<'_, Result<Vec<u8>, Unanswered>> {
        let known = request.request().body().windows(4).any(|window| window == b"ping");
        ready(if known { Ok(b"pong".to_vec()) } else { Err(Unanswered::Unknown) }).boxed()
    }
}
