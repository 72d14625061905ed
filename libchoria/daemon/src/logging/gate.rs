//! Which events reach the log at all.

use super::level::{Level, LevelHandle};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};

/// Lets events through by level; libraries that we use are heard only from warnings on, since what they consider
/// information is detail to an operator.
#[derive(Debug)]
pub(super) struct Gate(LevelHandle);

impl Gate {
    pub(super) fn new(level: LevelHandle) -> Self {
        Self(level)
    }
}

impl<S: Subscriber> Layer<S> for Gate {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        *metadata.level() <= limit(self.0.get(), metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.get().as_filter())
    }
}

fn limit(level: Level, target: &str) -> LevelFilter {
    let ours = target.starts_with("choria");
    // Says at level debug which attempt failed and why; the rest of that library logs every message.
    let detailed = target.starts_with("async_nats::connector");
    match level {
        Level::Debug if !ours && !detailed => LevelFilter::INFO,
        Level::Info if !ours => LevelFilter::WARN,
        level => level.as_filter(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quieter_than_we_are() {
        let rows = [
            (Level::Debug, "choria_network::connect", LevelFilter::DEBUG),
            (Level::Debug, "async_nats::connector", LevelFilter::DEBUG),
            (Level::Debug, "async_nats", LevelFilter::INFO),
            (Level::Debug, "hickory_resolver::x", LevelFilter::INFO),
            (Level::Info, "choria_server", LevelFilter::INFO),
            (Level::Info, "async_nats", LevelFilter::WARN),
            (Level::Warn, "async_nats", LevelFilter::WARN),
            (Level::Warn, "choria_server", LevelFilter::WARN),
            (Level::Error, "async_nats", LevelFilter::ERROR),
            (Level::Fatal, "choria_server", LevelFilter::ERROR),
        ];
        for (level, target, expected) in rows {
            assert_eq!(limit(level, target), expected, "{level:?} {target}");
        }
    }
}
