//! The agent `aaa_signer` (spec 07 §7).

use super::Signer;
use crate::live::Live;
use agents::{Actions, Authorized, Metadata, Node, VERSION};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use names::InvalidName;
use rpc::ReplyBody;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Answers requests for signatures over RPC.
#[derive(Debug)]
pub(crate) struct SignerAgent {
    metadata: Metadata,
    live: Arc<Live>,
}

/// The inputs; unlike over HTTP, `request` is the JSON text itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inputs {
    request: String,
    token: String,
    signature: String,
}

#[derive(Debug, Serialize)]
struct Outputs {
    secure_request: String,
}

impl SignerAgent {
    /// The agent that signs with the signer in force.
    ///
    /// # Errors
    /// Never: its name is valid.
    pub(crate) fn new(live: Arc<Live>) -> Result<Self, InvalidName> {
        let metadata = Metadata {
            license: "Apache-2.0".into(),
            author: "R.I.Pienaar <rip@devco.net>".into(),
            timeout: Duration::from_secs(10),
            name: security::AAA_SIGNER_AGENT.parse()?,
            version: VERSION.into(),
            url: "https://github.com/choria-io/aaasvc".into(),
            description: "Request Signer for Choria AAA Service".into(),
            provider: "".into(),
            service: true,
        };
        Ok(Self { metadata, live })
    }

    async fn sign(&self, call: &Authorized) -> ReplyBody {
        let inputs: Inputs = match call.inputs() {
            Ok(inputs) => inputs,
            Err(reply) => return reply,
        };
        let signer: Option<Arc<Signer>> = self.live.parts().signer.clone();
        let signed = match signer {
            Some(signer) => signer.sign(inputs.request.as_bytes(), &inputs.token, &inputs.signature).await.ok(),
            None => None,
        };
        // A secure request is text.
        match signed.and_then(|sealed| String::from_utf8(sealed).ok()) {
            Some(secure_request) => call.ok(&Outputs { secure_request }),
            None => call.aborted_with(DENIED, &Outputs { secure_request: String::new() }),
        }
    }
}

impl Actions for SignerAgent {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn knows(&self, action: &str) -> bool {
        action == "sign"
    }

    fn run(&self, call: Authorized, _node: Arc<Node>) -> BoxFuture<'_, ReplyBody> {
        async move { self.sign(&call).await }.boxed()
    }
}

/// Over HTTP its second word begins with a small letter.
const DENIED: &str = "Request Denied";
