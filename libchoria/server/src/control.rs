//! What the agent `choria_provision` asks of the server it runs in: tell the network, restart, end.

use lifecycle::Kind;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How a server ended that was not told to stop from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It stopped and is not wanted back.
    Stopped,
    /// It wants to be started anew with the configuration that is there now.
    Restart,
}

/// For the agent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<Order>);

/// For the server that the agent runs in.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<Order>);

#[derive(Debug)]
enum Order {
    Announce(Kind),
    Leave { outcome: Outcome, after: Duration },
}

/// A control with the orders that come through it.
#[must_use]
pub fn control() -> (Control, Orders) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Control(sender), Orders(receiver))
}

impl Control {
    /// Publishes a lifecycle event. Events beyond [`WAITING`] unsent ones are dropped and logged.
    pub(crate) fn announce(&self, kind: Kind) {
        self.send(Order::Announce(kind));
    }

    /// Ends the server `after` some time; a later call does not change what an earlier one ordered.
    pub(crate) fn leave(&self, outcome: Outcome, after: Duration) {
        self.send(Order::Leave { outcome, after });
    }

    fn send(&self, order: Order) {
        if let Err(error) = self.0.try_send(order) {
            tracing::error!("the server did not take an order of its agent choria_provision: {error}");
        }
    }
}

/// The server's side: what is to be done, and the moment to leave once it is known.
#[derive(Debug)]
pub(crate) struct Departure {
    orders: Option<Orders>,
    leave: Option<(Outcome, Instant)>,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Event {
    /// Publish this.
    Announce(Kind),
    /// End.
    Leave(Outcome),
}

impl Departure {
    pub(crate) fn new(orders: Option<Orders>) -> Self {
        Self { orders, leave: None }
    }

    /// Whether the shutdown event of this server has been published: a restart is announced when it is ordered.
    pub(crate) fn is_announced(&self) -> bool {
        matches!(self.leave, Some((Outcome::Restart, _)))
    }

    /// The next thing to do; cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let leave = self.leave;
            let moment = async {
                match leave {
                    Some((outcome, moment)) => {
                        sleep_until(moment).await;
                        outcome
                    }
                    None => std::future::pending().await,
                }
            };
            let order = async {
                match &mut self.orders {
                    Some(orders) => orders.0.recv().await,
                    None => std::future::pending().await,
                }
            };
            let order = tokio::select! {
                outcome = moment => return Event::Leave(outcome),
                order = order => order,
            };
            match order {
                Some(Order::Announce(kind)) => return Event::Announce(kind),
                Some(Order::Leave { outcome, after }) if self.leave.is_none() => {
                    self.leave = Some((outcome, Instant::now() + after));
                    if outcome == Outcome::Restart {
                        return Event::Announce(Kind::Shutdown);
                    }
                }
                Some(Order::Leave { .. }) => tracing::debug!("the server is leaving already"),
                None => self.orders = None,
            }
        }
    }
}

/// Orders that may wait: the agent runs one action at a time, and each gives at most two.
const WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_restart_is_announced_at_once_and_happens_once() {
        let (control, orders) = control();
        let mut departure = Departure::new(Some(orders));
        control.announce(Kind::Provisioned);
        control.leave(Outcome::Restart, Duration::from_millis(50));
        control.leave(Outcome::Stopped, Duration::ZERO);
        let started = Instant::now();
        assert!(matches!(departure.next().await, Event::Announce(Kind::Provisioned)));
        assert!(!departure.is_announced());
        assert!(matches!(departure.next().await, Event::Announce(Kind::Shutdown)));
        assert!(departure.is_announced());
        assert!(matches!(departure.next().await, Event::Leave(Outcome::Restart)));
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn without_an_agent_nothing_is_ordered() {
        let (control, orders) = control();
        drop(control);
        for mut departure in [Departure::new(Some(orders)), Departure::new(None)] {
            assert!(departure.next().now_or_never().is_none());
        }
    }
}
