//! Events as values.

use names::Identity;
use rand::RngCore;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

/// One lifecycle event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// A version 4 UUID. Every `alive` event of one process of the existing system has the same one.
    pub id: String,
    /// The node the event is about; of a governor eviction, whoever lost the slot.
    pub identity: Identity,
    /// The part of the system that tells.
    pub component: Component,
    /// When it happened, in whole seconds.
    pub time: SystemTime,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A server is ready, or a provisioner started.
    Startup {
        /// Version of the software.
        version: String,
    },
    /// A server stops.
    Shutdown,
    /// A server still runs, said from time to time.
    Alive {
        /// Version of the software.
        version: String,
    },
    /// A node got its configuration.
    Provisioned,
    /// A node's software was replaced during provisioning.
    Upgraded {
        /// Version of the software until now.
        version: String,
        /// Version from now on.
        new_version: String,
    },
    /// Someone took or left a slot of a governor.
    Governor {
        /// Name of the governor; not empty.
        governor: String,
        /// Number of the slot, 0 when there is none.
        sequence: u64,
        /// What happened to the slot.
        stage: GovernorStage,
    },
}

/// What happened to a slot of a governor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GovernorStage {
    /// The slot was taken.
    Enter,
    /// The slot was left.
    Exit,
    /// No slot became free in time.
    Timeouts,
    /// The slot was taken away.
    Eviction,
    /// A word that a later version may use, as it came.
    Other(String),
}

/// The part of the system that an event is about, for example `server`; last part of the event's subject.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Component(Arc<str>);

/// A text that is not a valid component: carries the text, cut to 128 characters.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a valid component: a component may stand in a NATS subject, so no space, `*` or `>`, no empty part between dots"
)]
pub struct InvalidComponent(pub String);

impl Event {
    /// The subject on which the events of all types and components travel.
    pub const ALL_SUBJECTS: &'static str = "choria.lifecycle.event.>";

    /// An event with a fresh id that happens at `now`.
    #[must_use]
    pub fn new(
        identity: Identity,
        component: Component,
        kind: Kind,
        now: SystemTime,
        random: &mut impl RngCore,
    ) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
        Self { id, identity, component, time: now, kind }
    }

    /// Where the event is published: `choria.lifecycle.event.<type>.<component>`.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("choria.lifecycle.event.{}.{}", self.kind.name(), self.component)
    }
}

impl Kind {
    /// The word for the type of the event in subjects, protocol ids and filters, for example `startup`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Startup { .. } => "startup",
            Self::Shutdown => "shutdown",
            Self::Alive { .. } => "alive",
            Self::Provisioned => "provisioned",
            Self::Upgraded { .. } => "upgraded",
            Self::Governor { .. } => "governor",
        }
    }
}

impl GovernorStage {
    /// The stage as written in messages.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
            Self::Timeouts => "timeouts",
            Self::Eviction => "eviction",
            Self::Other(word) => word,
        }
    }

    /// The stage that is written as `word`.
    pub(crate) fn from_word(word: &str) -> Self {
        let known = [Self::Enter, Self::Exit, Self::Timeouts, Self::Eviction];
        known.into_iter().find(|stage| stage.as_str() == word).unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

impl Component {
    /// The component as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Component {
    type Err = InvalidComponent;

    fn from_str(text: &str) -> Result<Self, InvalidComponent> {
        let visible = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '>');
        if text.chars().all(visible) && text.split('.').all(|part| !part.is_empty()) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidComponent(text.chars().take(128).collect()))
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The line that `choria tool event` prints.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: ", self.kind.name(), self.identity)?;
        match &self.kind {
            Kind::Startup { version } | Kind::Alive { version } => write!(f, "{} version {version}", self.component),
            Kind::Shutdown | Kind::Provisioned => write!(f, "{}", self.component),
            Kind::Upgraded { version, new_version } => {
                write!(f, "{} version {version} to {new_version}", self.component)
            }
            Kind::Governor { governor, sequence, stage } => match (stage, sequence) {
                (GovernorStage::Enter, 0) => write!(f, "obtained slot on {governor}"),
                (GovernorStage::Enter, slot) => write!(f, "obtained slot {slot} on {governor}"),
                (GovernorStage::Exit, 0) => write!(f, "vacated {governor}"),
                (GovernorStage::Exit, slot) => write!(f, "vacated slot {slot} on {governor}"),
                (GovernorStage::Timeouts, _) => write!(f, "failed to obtain a slot on {governor}"),
                (GovernorStage::Eviction, 0) => write!(f, "evicted from {governor}"),
                (GovernorStage::Eviction, slot) => write!(f, "evicted from slot {slot} on {governor}"),
                (GovernorStage::Other(_), _) => write!(f, "unknown stage on Governor {governor}"),
            },
        }
    }
}
