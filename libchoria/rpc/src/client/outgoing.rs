//! The messages that carry one signed request: which subjects, and which headers around the same signed bytes
//! (spec 02 §5, §8).

use bytes::Bytes;
use names::{Identity, RequestId};
use protocol::subjects::{FEDERATION_GROUP, federation_requests};
use protocol::{Federation, Headers};
use security::Sealed;

/// A signed request on its way.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// The signed request.
    pub(super) sealed: &'a Sealed,
    /// Its id.
    pub(super) id: &'a RequestId,
    /// Who sends it.
    pub(super) sender: &'a Identity,
    /// The broker it is handed to.
    pub(super) server: &'a str,
    /// Where answers go.
    pub(super) reply_to: &'a str,
    /// The federated collectives it goes to; empty when the broker is that of the collective itself.
    pub(super) federations: &'a [String],
}

impl Outgoing<'_> {
    /// The messages that reach `targets`, subjects of the collective: one each, or in a federation one for 200 of them
    /// and each federated collective.
    pub(super) fn messages(&self, targets: Vec<String>) -> Vec<(String, Bytes)> {
        if self.federations.is_empty() {
            let payload = self.payload(None);
            return targets.into_iter().map(|subject| (subject, payload.clone())).collect();
        }
        let groups = targets.chunks(FEDERATION_GROUP).map(|group| self.payload(Some(group.to_vec())));
        let federated =
            |payload: Bytes| self.federations.iter().map(move |name| (federation_requests(name), payload.clone()));
        groups.flat_map(federated).collect()
    }

    fn payload(&self, federated: Option<Vec<String>>) -> Bytes {
        let federation = federated.map(|targets| Federation {
            request: Some(self.id.to_string()),
            targets,
            ..Federation::default()
        });
        let mut headers = Headers {
            reply_to: Some(self.reply_to.to_owned()),
            sender: Some(self.sender.clone()),
            federation,
            ..Headers::default()
        };
        headers.add_hop(self.server, self.sender.as_str(), self.server);
        self.sealed.transport(&headers).into()
    }
}
