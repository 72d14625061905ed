//! What the service counts (spec 07 §11), over HTTP and RPC alike; told to Prometheus by [`Exporter`].

use crate::live::Live;
use crate::sign::Service;
use daemon::metrics::{CONTENT_TYPE, Response, Scrape, answer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    logins: Mutex<BTreeMap<&'static str, Logins>>,
    auditors: Mutex<BTreeMap<&'static str, u64>>,
    decisions: Mutex<BTreeMap<(&'static str, String), Decisions>>,
    authorizer_errors: Mutex<BTreeMap<&'static str, u64>>,
    signatures: [AtomicU64; 4],
    /// Answers by status of HTTP.
    answers: Mutex<BTreeMap<u16, u64>>,
    connections: AtomicU64,
    connections_refused: AtomicU64,
}

/// The logins of one authenticator.
#[derive(Clone, Debug, Default)]
struct Logins {
    count: u64,
    seconds: f64,
    /// By reason.
    refused: BTreeMap<&'static str, u64>,
}

/// What was decided about one action.
#[derive(Clone, Copy, Debug, Default)]
struct Decisions {
    allowed: u64,
    denied: u64,
}

/// What became of a request for a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signature {
    Allowed,
    /// Every denial, whatever its reason.
    Denied,
    /// A denial with an error, which is every one but the authorizer's plain no.
    Error,
    InvalidToken,
}

impl Metrics {
    /// A login that took `time` and was refused for `reason`, if it was.
    pub(crate) fn login(&self, authenticator: &'static str, time: Duration, reason: Option<&'static str>) {
        let mut all = lock(&self.logins);
        let logins = all.entry(authenticator).or_default();
        logins.count += 1;
        logins.seconds += time.as_secs_f64();
        if let Some(reason) = reason {
            *logins.refused.entry(reason).or_default() += 1;
        }
    }

    /// How many people logged in, and how many were refused.
    pub(crate) fn login_counts(&self) -> (u64, u64) {
        let all = lock(&self.logins);
        let refused: u64 = all.values().flat_map(|logins| logins.refused.values()).sum();
        let count: u64 = all.values().map(|logins| logins.count).sum();
        (count.saturating_sub(refused), refused)
    }

    pub(crate) fn signature(&self, outcome: Signature) {
        self.signatures[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn signatures(&self, outcome: Signature) -> u64 {
        self.signatures[outcome as usize].load(Ordering::Relaxed)
    }

    /// A decision about `action`. Names of actions come from requests, so only the first thousand are told apart.
    pub(crate) fn decided(&self, authorizer: &'static str, action: &str, allowed: bool) {
        let mut all = lock(&self.decisions);
        let key = (authorizer, action.chars().take(128).collect());
        let key =
            if all.len() < MOST_ACTIONS || all.contains_key(&key) { key } else { (authorizer, "other".to_owned()) };
        let decisions = all.entry(key).or_default();
        if allowed {
            decisions.allowed += 1;
        } else {
            decisions.denied += 1;
        }
    }

    pub(crate) fn authorizer_error(&self, authorizer: &'static str) {
        *lock(&self.authorizer_errors).entry(authorizer).or_default() += 1;
    }

    pub(crate) fn auditor_error(&self, auditor: &'static str) {
        *lock(&self.auditors).entry(auditor).or_default() += 1;
    }

    #[cfg(test)]
    pub(crate) fn auditor_errors(&self, auditor: &str) -> u64 {
        lock(&self.auditors).get(auditor).copied().unwrap_or_default()
    }

    pub(crate) fn answered(&self, status: u16) {
        *lock(&self.answers).entry(status).or_default() += 1;
    }

    pub(crate) fn set_connections(&self, count: usize) {
        self.connections.store(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Shows the counters of one service.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) site: String,
    pub(crate) metrics: Arc<Metrics>,
    /// Who logs in and signs now.
    pub(crate) live: Arc<Live>,
    pub(crate) auditors: Vec<&'static str>,
    /// The service on the network, if there is one.
    pub(crate) service: Option<Service>,
}

impl Exporter {
    fn logins(&self, scrape: &mut Scrape) {
        let all = lock(&self.metrics.logins);
        if let Some(kind) = self.live.parts().login.as_ref().map(|login| login.kind()) {
            let logins = all.get(kind).cloned().unwrap_or_default();
            let labels = [("site", self.site.as_str()), ("authenticator", kind)];
            let refused = logins.refused.values().sum();
            let help = "Total number of logins that were refused";
            scrape.counter("choria_aaa_authenticator_errors", help, &labels, refused);
            let help = "How long logins took";
            scrape.summary("choria_aaa_authenticator_time", help, &labels, logins.count, logins.seconds);
            for reason in LOGIN_REASONS {
                let labels = [("site", self.site.as_str()), ("authenticator", kind), ("reason", reason)];
                let help = "Logins that were refused, by reason";
                let count = logins.refused.get(reason).copied().unwrap_or_default();
                scrape.counter("choria_aaa_logins_refused", help, &labels, count);
            }
        }
    }

    fn decisions(&self, scrape: &mut Scrape) {
        for ((authorizer, action), decisions) in &*lock(&self.metrics.decisions) {
            let labels = [("site", self.site.as_str()), ("authorizer", *authorizer), ("action", action.as_str())];
            let help = "Total number of requests that the authorizer allowed";
            scrape.counter("choria_aaa_authorizer_allowed", help, &labels, decisions.allowed);
            let help = "Total number of requests that the authorizer denied";
            scrape.counter("choria_aaa_authorizer_denied", help, &labels, decisions.denied);
        }
        let errors = lock(&self.metrics.authorizer_errors);
        if let Some(authorizer) = self.live.parts().signer.as_ref().map(|signer| signer.authorizer()) {
            let labels = [("site", self.site.as_str()), ("authorizer", authorizer)];
            let help = "Total number of requests that the authorizer could not decide about";
            let count = errors.get(authorizer).copied().unwrap_or_default();
            scrape.counter("choria_aaa_authorizer_errors", help, &labels, count);
        }
    }

    fn signatures(&self, scrape: &mut Scrape) {
        let Some(signer) = self.live.parts().signer.clone() else { return };
        let rows = [
            (Signature::Allowed, "choria_aaa_signer_allowed", "Total number of requests that were signed"),
            (Signature::Denied, "choria_aaa_signer_denied", "Total number of requests that were not signed"),
            (
                Signature::Error,
                "choria_aaa_signer_errors",
                "Total number of requests that were not signed for an error",
            ),
            (Signature::InvalidToken, "choria_aaa_signer_invalid_token", "Total number of tokens that do not count"),
        ];
        let labels = [("site", self.site.as_str()), ("signer", "basicjwt")];
        for (outcome, name, help) in rows {
            scrape.counter(name, help, &labels, self.metrics.signatures(outcome));
        }
        if let Some(end) = signer.delegator_expiry() {
            let seconds = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as f64;
            let help = "When the token that requests are signed with expires, seconds since 1970";
            scrape.gauge("choria_aaa_signer_token_expiry_timestamp_seconds", help, &labels, seconds);
        }
    }
}

impl daemon::metrics::Exporter for Exporter {
    async fn export(&self, scrape: &mut Scrape) {
        let site = self.site.as_str();
        let labels = [("site", site), ("version", agents::VERSION)];
        scrape.counter("choria_aaa_build_info", "Build information of the AAA service", &labels, 0);
        self.logins(scrape);
        self.decisions(scrape);
        self.signatures(scrape);
        let errors = lock(&self.metrics.auditors).clone();
        for auditor in &self.auditors {
            let help = "Total number of audit records that were not written";
            let count = errors.get(auditor).copied().unwrap_or_default();
            scrape.counter("choria_aaa_auditor_errors", help, &[("site", site), ("auditor", auditor)], count);
        }
        for (status, count) in &*lock(&self.metrics.answers) {
            let help = "Answers over HTTP, by status";
            scrape.counter("choria_aaa_http_answers", help, &[("site", site), ("status", &status.to_string())], *count);
        }
        let open = self.metrics.connections.load(Ordering::Relaxed) as f64;
        scrape.gauge("choria_aaa_http_connections", "Connections over HTTP that are open", &[("site", site)], open);
        let failed = self.metrics.connections_refused.load(Ordering::Relaxed);
        let help = "Connections over HTTP that ended before a request was read whole";
        scrape.counter("choria_aaa_http_connections_failed", help, &[("site", site)], failed);
        if let Some(service) = &self.service {
            let connected = f64::from(service.is_connected());
            let help = "Whether the service is connected to a broker";
            scrape.gauge("choria_aaa_service_connected", help, &[("site", site)], connected);
        }
    }

    async fn page(&self, path: &str, _query: Option<&str>) -> Option<Response> {
        if path != METRICS_PAGE {
            return None;
        }
        let mut scrape = Scrape::default();
        daemon::metrics::Exporter::export(self, &mut scrape).await;
        Some(answer(hyper::StatusCode::OK, CONTENT_TYPE, scrape.encode()))
    }

    fn pages(&self) -> &'static [&'static str] {
        &[METRICS_PAGE]
    }
}

/// Where the original has its metrics.
const METRICS_PAGE: &str = "/metrics";

/// Every [`crate::login`] reason, so that a rate sees the first of each.
const LOGIN_REASONS: [&str; 8] = ["request", "replay", "limit", "busy", "password", "users", "okta", "issue"];

/// Actions that are told apart.
const MOST_ACTIONS: usize = 1000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_actions_are_bounded() {
        let metrics = Metrics::default();
        for number in 0..MOST_ACTIONS + 50 {
            metrics.decided("opa", &format!("agent.{number}"), number % 2 == 0);
        }
        let all = lock(&metrics.decisions);
        assert_eq!(all.len(), MOST_ACTIONS + 1);
        let other = all[&("opa", "other".to_owned())];
        assert_eq!((other.allowed, other.denied), (25, 25));
    }
}
