//! Why one connection attempt failed, in words that say what to do.

use crate::login::LoginError;
use async_nats::ConnectErrorKind;
use std::error::Error;
use std::io;
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// The reason one attempt to connect failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there.
    #[error("connection refused: nothing listens on that address and port; is the broker running?")]
    Refused,
    /// No answer in time.
    #[error("no answer in time: the host is down, a firewall drops the packets, or the broker is overloaded")]
    TimedOut,
    /// The host name is not known.
    #[error("the host name cannot be resolved ({0}); check plugin.choria.middleware_hosts and DNS")]
    Name(String),
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The broker answered the TLS handshake in plain text, as nats-server does with connections above its rate limit.
    #[error(
        "the broker answered in plain text during the TLS handshake: it limits new connections just now, or its \
         listener does not speak TLS"
    )]
    PlainText,
    /// The broker does not accept the token, key, certificate or password.
    #[error(
        "authorization violation: the broker refused this login; its log names the reason (is the token signed by an \
         issuer the broker trusts, and not expired?)"
    )]
    Unauthorized,
    /// This side had nothing valid to log in with.
    #[error("{0}")]
    Login(String),
    /// The broker closed the connection before the login was over.
    #[error(
        "the broker closed the connection during the handshake: it is shutting down, full, or limits new connections"
    )]
    Closed,
    /// The broker said why it does not want the connection.
    #[error("the broker refused the connection: {0}")]
    Rejected(String),
    /// Anything else the system said.
    #[error("{0}")]
    Other(String),
}

/// Tells news from what was said already: a broker that is down for a day is worth a line now and then, not one per
/// attempt.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<(Failure, Instant)>);

/// The same failure is told again after this time.
const REMIND: Duration = Duration::from_secs(300);

impl Told {
    /// Whether `failure` at `now` is of another kind than the one told last, or that one is some time ago.
    pub(crate) fn is_news(&mut self, failure: &Failure, now: Instant) -> bool {
        let known = self.0.as_ref().is_some_and(|(last, when)| {
            discriminant(last) == discriminant(failure) && now.duration_since(*when) < REMIND
        });
        if !known {
            self.0 = Some((failure.clone(), now));
        }
        !known
    }
}

impl Failure {
    /// Whether trying again soon, with nothing changed, is pointless.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Unauthorized | Self::Login(_))
    }

    /// The reason within the client library's error; the login's own reason is kept aside because the library
    /// turns it into text.
    pub(crate) fn of(error: &async_nats::ConnectError, login: Option<&LoginError>) -> Self {
        match error.kind() {
            ConnectErrorKind::Authentication => {
                Self::Login(login.map_or_else(|| error.to_string(), ToString::to_string))
            }
            ConnectErrorKind::AuthorizationViolation => Self::Unauthorized,
            ConnectErrorKind::TimedOut => Self::TimedOut,
            ConnectErrorKind::Dns => Self::Name(innermost(error)),
            ConnectErrorKind::Tls => Self::Tls(innermost(error)),
            ConnectErrorKind::Io | ConnectErrorKind::ServerParse | ConnectErrorKind::MaxReconnects => {
                Self::of_source(error)
            }
        }
    }

    /// The reason as far as the client library tells it while reconnecting: the kind of error as text.
    pub(crate) fn of_kind_text(text: &str, login: Option<&LoginError>) -> Self {
        let is = |kind: ConnectErrorKind| text == kind.to_string();
        if is(ConnectErrorKind::Authentication) {
            Self::Login(login.map_or_else(|| text.to_owned(), ToString::to_string))
        } else if is(ConnectErrorKind::AuthorizationViolation) {
            Self::Unauthorized
        } else if is(ConnectErrorKind::TimedOut) {
            Self::TimedOut
        } else if is(ConnectErrorKind::Dns) {
            Self::Name("DNS error".to_owned())
        } else if is(ConnectErrorKind::Io) {
            Self::Other("the broker is not reachable: the connection was refused, closed or failed in TLS".to_owned())
        } else {
            Self::Other(text.to_owned())
        }
    }

    /// The first cause that says what happened, however deep the libraries wrapped it.
    fn of_source(error: &async_nats::ConnectError) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(server) = cause.downcast_ref::<async_nats::ServerError>() {
                return match server {
                    async_nats::ServerError::AuthorizationViolation => Self::Unauthorized,
                    other => Self::Rejected(other.to_string().trim_start_matches("nats: ").to_owned()),
                };
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                return Self::of_io(io);
            }
            source = cause.source();
        }
        match innermost(error) {
            text if text == "broken pipe" || text.ends_with("got nothing") => Self::Closed,
            text => Self::Other(text),
        }
    }

    /// The reason within an error of a socket or of TLS upon it.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return match tls {
                rustls::Error::InvalidMessage(_) => Self::PlainText,
                other => Self::Tls(tls_sentence(other)),
            };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Self::TimedOut
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// What a TLS error means here, with the setting that decides it.
fn tls_sentence(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let advice = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "; no certificate in the configured CA file signed the broker's certificate"
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "; the broker's certificate does not carry the name it was reached by",
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "; the broker's certificate must be renewed, or this clock is wrong"
        }
        rustls::Error::InvalidCertificate(Certificate::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "; the broker's certificate is marked as a CA: issue one without that mark (basicConstraints CA:FALSE), or \
             put this very certificate into the CA file"
        }
        rustls::Error::AlertReceived(_) => "; the broker may demand a client certificate",
        _ => "",
    };
    format!("{error}{advice}")
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_told_now_and_then() {
        let (mut told, start) = (Told::default(), Instant::now());
        let expired = |minutes: u32| Failure::Login(format!("the token expired {minutes} minutes ago"));
        let rows = [
            (Failure::Refused, 0, true),
            (Failure::Refused, 5, false),
            (expired(3), 6, true),
            (expired(4), 60, false),
            (Failure::Refused, 61, true),
            (Failure::Refused, 360, false),
            (Failure::Refused, 361, true),
        ];
        for (number, (failure, seconds, news)) in rows.into_iter().enumerate() {
            assert_eq!(told.is_news(&failure, start + Duration::from_secs(seconds)), news, "row {number}");
        }
    }
}
