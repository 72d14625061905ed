//! What the configuration says about submission, for everybody who hands in or delivers.

use crate::draft::{Draft, Refusal, Sender, accept};
use crate::message::Message;
use crate::rules::{Caller, InvalidRules, Rules};
use crate::spool::Limits;
use crate::words::MessageId;
use config::keys;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The spool that `choria-submit` makes when none is configured.
pub const DEFAULT_SPOOL: &str = config::build::SUBMISSION_SPOOL;

/// The settings of submission.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where messages wait.
    pub spool: PathBuf,
    /// How much the spool takes.
    pub limits: Limits,
    /// Who may submit what.
    pub rules: Rules,
    /// Where `choria-submit` listens.
    pub socket: PathBuf,
    /// The identity that messages carry.
    pub identity: String,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// `plugin.choria.submission.allow`.
    #[error(transparent)]
    Rules(#[from] InvalidRules),
    /// A path that depends on where the program was started.
    #[error("{key} is {}, which is not an absolute path: write it from / on", path.display())]
    Relative {
        /// The key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
    },
}

impl Settings {
    /// Reads the settings. The spool is `plugin.choria.submission.spool`; when that is not set, [`DEFAULT_SPOOL`] if it
    /// exists, else there is no submission: `None`.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_settings(settings: &config::Settings) -> Result<Option<Self>, SettingsError> {
        let made = || Path::new(DEFAULT_SPOOL).is_dir().then(|| PathBuf::from(DEFAULT_SPOOL));
        settings.get(keys::SUBMISSION_SPOOL).or_else(made).map(|spool| Self::with_spool(settings, spool)).transpose()
    }

    /// Reads the settings for a spool that is given, whatever the configuration says about its place.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn with_spool(settings: &config::Settings, spool: PathBuf) -> Result<Self, SettingsError> {
        let at_least_one = |number: i64| u64::try_from(number).unwrap_or(1).max(1);
        let limits = Limits {
            max_messages: at_least_one(settings.get(keys::SUBMISSION_MAX_SPOOL_SIZE)),
            max_bytes: at_least_one(settings.get(keys::SUBMISSION_MAX_SPOOL_BYTES)),
            max_message_size: at_least_one(settings.get(keys::SUBMISSION_MAX_MESSAGE_SIZE)),
        };
        let rules = Rules::parse(&settings.get(keys::SUBMISSION_ALLOW).join(","))?;
        let owner = std::fs::metadata(&spool).map(|metadata| metadata.uid());
        // A spool that is still to be made has no owner to trust.
        let rules = if let Ok(owner) = owner { rules.with_owner(owner) } else { rules };
        let socket =
            settings.get(keys::SUBMISSION_SOCKET).unwrap_or_else(|| PathBuf::from(config::build::SUBMIT_SOCKET));
        for (key, path) in [(keys::SUBMISSION_SPOOL.name(), &spool), (keys::SUBMISSION_SOCKET.name(), &socket)] {
            if !path.is_absolute() {
                return Err(SettingsError::Relative { key, path: path.clone() });
            }
        }
        Ok(Self { spool, limits, rules, socket, identity: settings.identity().as_str().to_owned() })
    }

    /// Makes a message of what `caller` claims, or says why not: may this user submit to this subject, is it small
    /// enough, and is it a message.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn accept(
        &self,
        draft: Draft,
        caller: &Caller<'_>,
        id: MessageId,
        now: SystemTime,
    ) -> Result<Message, Refusal> {
        self.rules.allows(caller, &draft.subject)?;
        let (size, most) = (draft.payload.len() as u64, self.limits.max_message_size);
        if size > most {
            return Err(Refusal::TooLarge { size, most });
        }
        let sender = if self.rules.trust(caller.uid) { Sender::owner(caller.uid) } else { Sender::user(caller.uid) };
        accept(draft, sender, &self.identity, id, now)
    }
}
