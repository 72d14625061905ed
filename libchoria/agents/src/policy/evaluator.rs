//! Understanding and evaluation of policies on threads of their own, within a time.
//!
//! The interpreter cannot be stopped, and a policy may be written so that it works for hours: numbers multiply in a few
//! lines. So policies never run where requests are served. What takes too long denies; its thread goes on until it ends,
//! and counts against the few there are. While one evaluation of a policy is overdue, no other of it begins, so a single
//! policy holds few threads and the others keep the rest. Threads end with the process.

mod threads;

use super::cache::{Policies, Understood};
use super::rego::{InvalidPolicy, NoAnswer, Policy, Traced};
use protocol::Filter;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use threads::{Failed, Threads};

/// Evaluates policies; cheap to clone, all clones share their threads.
#[derive(Clone, Debug)]
pub struct Evaluator {
    threads: Arc<Threads>,
    limit: Duration,
}

/// Why there is no decision, which denies.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// The text is no policy.
    #[error(transparent)]
    Invalid(#[from] InvalidPolicy),
    /// The policy gave none.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// It took too long.
    #[error("policy {name} was not evaluated within {} s; simplify it", .limit.as_secs_f64())]
    TooLong {
        /// The policy.
        name: String,
        /// How long an evaluation may take.
        limit: Duration,
    },
    /// It took too long before and is still at it.
    #[error("policy {name} is not evaluated while an evaluation of it that took too long still runs; simplify it")]
    Overdue {
        /// The policy.
        name: String,
    },
    /// Other evaluations occupy all threads.
    #[error("policy {name} was not evaluated: all {threads} evaluations that may run at once still do")]
    Busy {
        /// The policy.
        name: String,
        /// How many may run at once.
        threads: usize,
    },
    /// The interpreter broke down, or there was no thread.
    #[error("policy {name} was not evaluated: {why}")]
    Fault {
        /// The policy.
        name: String,
        /// What happened.
        why: String,
    },
}

impl Default for Evaluator {
    /// As servers and the AAA service use it: four at once, one second each with the wait for a thread, since no agent
    /// takes longer than it may and the shortest times are one and two seconds.
    fn default() -> Self {
        Self::new(4, Duration::from_secs(1))
    }
}

impl Evaluator {
    /// At most `threads` evaluations at once, each answered within `limit`. Threads are made when they are needed.
    #[must_use]
    pub fn new(threads: usize, limit: Duration) -> Self {
        Self { threads: Arc::new(Threads::new(threads)), limit }
    }

    /// The policy of `text` from `policies`, which prepares it if it must; see [`Policies::get`].
    ///
    /// # Errors
    /// [`Undecided`]: [`Undecided::Invalid`] if the text is no policy.
    pub async fn understand(&self, policies: &Arc<Policies>, name: &str, text: &str) -> Result<Arc<Policy>, Undecided> {
        if let Some(understood) = policies.known(text) {
            return Ok(understood?);
        }
        let (policies, owned, text) = (Arc::clone(policies), name.to_owned(), text.to_owned());
        let work = move || policies.get(&owned, &text);
        let understood: Understood =
            self.threads.run(None, self.limit, work).await.map_err(|failed| self.undecided(name, failed))?;
        Ok(understood?)
    }

    /// What `policy` says to `input`; see [`Policy::allows`].
    ///
    /// # Errors
    /// [`Undecided`], which means no.
    pub async fn allows(&self, policy: &Arc<Policy>, input: Value, filter: &Filter) -> Result<bool, Undecided> {
        let (evaluated, filter) = (Arc::clone(policy), filter.clone());
        let answer = self.evaluate(policy, move || evaluated.allows(&input, &filter)).await?;
        Ok(answer?)
    }

    /// The same, with what the policy printed.
    ///
    /// # Errors
    /// [`Undecided`], but for what the policy itself did not answer.
    pub async fn traced(&self, policy: &Arc<Policy>, input: Value, filter: &Filter) -> Result<Traced, Undecided> {
        let (evaluated, filter) = (Arc::clone(policy), filter.clone());
        self.evaluate(policy, move || evaluated.traced(&input, &filter)).await
    }

    async fn evaluate<T: Send + 'static>(
        &self,
        policy: &Arc<Policy>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undecided> {
        // The work holds the policy, so that no other can have its address meanwhile.
        let key = Arc::as_ptr(policy) as usize;
        let failed = match self.threads.run(Some(key), self.limit, work).await {
            Ok(value) => return Ok(value),
            Err(failed) => self.undecided(policy.name(), failed),
        };
        if let Undecided::TooLong { name, .. } = &failed {
            tracing::error!(
                policy = %name,
                "a policy was not evaluated in time and is refused until that evaluation ends; simplify it"
            );
        }
        Err(failed)
    }

    fn undecided(&self, name: &str, failed: Failed) -> Undecided {
        let name = name.to_owned();
        match failed {
            Failed::Busy => Undecided::Busy { name, threads: self.threads.most() },
            Failed::Overdue => Undecided::Overdue { name },
            Failed::TooLong => Undecided::TooLong { name, limit: self.limit },
            Failed::BrokeDown => Undecided::Fault { name, why: "the interpreter broke down".to_owned() },
            Failed::NoThread(error) => Undecided::Fault { name, why: format!("no thread could be made: {error}") },
        }
    }
}

#[cfg(test)]
mod tests;
