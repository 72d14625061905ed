//! Electing one of several provisioners (spec 06 §5, 08 §6).

use names::Identity;
use network::Connection;
use network::backoff::TWENTY_SECONDS;
use network::election::{Candidacy, Counts, Election, PROVISIONING_API_PREFIX, Pace, Standing};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What the election counts, once there is one; for metrics.
#[derive(Debug, Default)]
pub(crate) struct Campaigns(Mutex<Option<Arc<Counts>>>);

impl Campaigns {
    /// The counts of the election taken part in last.
    pub(crate) fn counts(&self) -> Option<Arc<Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, counts: Arc<Counts>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts);
    }
}

/// Takes part in the election as `identity` until `stop`, in a task of `tasks`. While the bucket cannot be used the standing
/// is that of a candidate, and it is tried again: the broker may have been started a moment ago.
pub(crate) fn enter(
    connection: &Connection,
    identity: &Identity,
    campaigns: Arc<Campaigns>,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Standing> {
    let told = watch::Sender::new(Standing::Candidate);
    let standing = told.subscribe();
    let candidacy = Candidacy {
        api_prefix: Some(PROVISIONING_API_PREFIX.to_owned()),
        pace: Pace::Backoff(TWENTY_SECONDS),
        ..Candidacy::new(ELECTION, identity.as_str())
    };
    let connection = connection.clone();
    tasks.spawn(async move {
        let Some(Some(election)) = stop.run_until_cancelled(open(&connection, &candidacy)).await else { return };
        campaigns.keep(election.counts());
        let mut changes = election.standing();
        let following = async {
            while changes.changed().await.is_ok() {
                told.send_replace(*changes.borrow_and_update());
            }
        };
        tokio::join!(election.run(stop.clone()), following);
    });
    standing
}

/// Opens the election, however long that takes.
async fn open(connection: &Connection, candidacy: &Candidacy) -> Option<Election> {
    for attempt in 1.. {
        match Election::open(connection, candidacy.clone()).await {
            Ok(election) => return Some(election),
            Err(error) => {
                let delay = TWENTY_SECONDS.random_delay(attempt);
                let seconds = delay.as_secs_f64();
                tracing::error!(
                    "nothing is provisioned, the election cannot be entered: {error}; next try in {seconds:.1} s"
                );
                sleep(delay).await;
            }
        }
    }
    None
}

/// The name that all provisioners of a network compete under.
const ELECTION: &str = "provisioner";
