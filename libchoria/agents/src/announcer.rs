//! Lifecycle events of whoever hosts agents: startup, alive, shutdown (spec 02 §15).

use crate::VERSION;
use crate::node::Node;
use crate::stats::Counter;
use lifecycle::{Component, Event, Format, Kind};
use network::Connection;
use rand::RngCore;
use rand::rngs::StdRng;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// Tells the network about one server.
#[derive(Debug)]
pub struct Announcer {
    /// What the events call it: `server`, `service_host`.
    pub component: Component,
    /// How events are written.
    pub format: Format,
    /// For event ids and the first alive event's delay.
    pub random: Mutex<StdRng>,
}

impl Announcer {
    /// The server is ready.
    pub async fn startup(&self, node: &Node, connection: &Connection) {
        self.publish(Kind::Startup { version: VERSION.to_owned() }, node, connection).await;
    }

    /// The server stops.
    pub async fn shutdown(&self, node: &Node, connection: &Connection) {
        self.publish(Kind::Shutdown, node, connection).await;
    }

    /// Says every half hour that the server runs, the first time after up to half an hour, so that a fleet that started
    /// together does not speak together. Each event has its own id and time; the original repeats the first one's.
    pub async fn alive(&self, node: &Node, connection: &Connection) -> Infallible {
        sleep(first_delay(self.chance())).await;
        loop {
            self.publish(Kind::Alive { version: VERSION.to_owned() }, node, connection).await;
            sleep(ALIVE_INTERVAL).await;
        }
    }

    /// Something happened.
    pub async fn publish(&self, kind: Kind, node: &Node, connection: &Connection) {
        let event = {
            let mut random = self.random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Event::new(node.identity(), self.component.clone(), kind, SystemTime::now(), &mut *random)
        };
        match connection.publish(&event.subject(), event.encode(self.format).into()).await {
            Ok(()) => node.stats.count(Counter::Events),
            Err(error) => tracing::warn!("the lifecycle event `{event}` was not sent: {error}"),
        }
    }

    fn chance(&self) -> u32 {
        self.random.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next_u32()
    }
}

const ALIVE_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// 0 to 29 whole minutes.
fn first_delay(chance: u32) -> Duration {
    Duration::from_secs(u64::from(chance % 30) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_alive_event_comes_within_half_an_hour() {
        let minutes: std::collections::BTreeSet<u64> = (0..300).map(|chance| first_delay(chance).as_secs()).collect();
        assert_eq!(minutes, (0..30).map(|minute| minute * 60).collect());
    }
}
