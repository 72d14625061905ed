//! Whether a connection can be encrypted, and whose certificate the other end shows.

use super::port::{Line, Port};
use super::report::{Report, roughly};
use config::{Settings, keys};
use network::probe::{self, Certificate};
use network::{Failure, Scheme, ServerAddress, Tls};
use std::time::{Duration, SystemTime};

/// The name of this check.
pub(super) const CHECK: &str = "tls";

/// A broker with whom TLS works, or is not used.
#[derive(Debug)]
pub(super) struct Encrypted {
    /// The broker.
    pub(super) server: ServerAddress,
    /// The name it gives itself and its version, where it greets before TLS.
    pub(super) greeting: Option<probe::Greeting>,
}

/// Begins TLS on each open port.
pub(super) async fn examine(
    report: &mut Report,
    settings: &Settings,
    role: network::Role,
    ports: Vec<Port>,
    now: SystemTime,
) -> Vec<Encrypted> {
    let tls = match Tls::from_settings(settings, role) {
        Ok(tls) => tls,
        Err(error) => {
            let (text, fix) = super::credentials::sentence_and_fix(&error.to_string());
            report.fail(CHECK, text, fix);
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for Port { server, address, line } in ports {
        let greeting = match &line {
            Line::Greeted(greeted) => Some(greeted.greeting.clone()),
            Line::Websocket(_) => None,
        };
        let speaks = greeting.as_ref().map_or(server.scheme() == Scheme::Wss, |greeting| greeting.tls);
        match (tls.is_required(), speaks) {
            (true, true) => {}
            (true, false) if server.scheme() == Scheme::Ws => {
                report.warn(
                    CHECK,
                    format!("{server} is not encrypted"),
                    "use wss:// in plugin.choria.middleware_hosts",
                );
                found.push(Encrypted { server, greeting });
                continue;
            }
            (true, false) => {
                let fix = "name the port on which the broker takes members of the fleet, or turn its TLS on";
                report.fail(CHECK, format!("{server} does not speak TLS"), fix);
                continue;
            }
            (false, _) => {
                report.warn(
                    CHECK,
                    "TLS is off here: everybody on the way reads and changes what is sent",
                    "leave INSECURE_* variables out",
                );
                found.push(Encrypted { server, greeting });
                continue;
            }
        }
        let shaken = match line {
            Line::Greeted(greeted) => greeted.encrypt(&tls, server.host(), LIMIT).await,
            Line::Websocket(stream) => probe::encrypt(stream, &tls, server.host(), LIMIT).await,
        };
        match shaken {
            Ok(certificate) => {
                tell(report, settings, role, &server, &certificate, now);
                found.push(Encrypted { server, greeting });
            }
            Err(failure) => {
                let shown = shown_all_the_same(&server, address).await;
                refused(report, settings, role, &server, &failure, shown.as_ref());
            }
        }
    }
    found
}

/// What there is to say about a certificate that was accepted.
fn tell(
    report: &mut Report,
    settings: &Settings,
    role: network::Role,
    server: &ServerAddress,
    certificate: &Certificate,
    now: SystemTime,
) {
    let text = describe(certificate);
    let Ok(left) = certificate.ends.duration_since(now) else {
        let text = format!("{text}; it has expired, and nobody checks it here");
        report.warn(CHECK, text, format!("renew the certificate of {}", server.host()));
        return;
    };
    let verified = match authority(settings, role) {
        Some(file) => format!("verified by {file}"),
        None => "not verified because no CA is configured".to_owned(),
    };
    let text = format!("{text}, {verified}, ends in {}", roughly(left));
    if left < SOON { report.warn(CHECK, text, "renew the broker's certificate") } else { report.ok(CHECK, text) }
}

/// Why there is no encrypted connection.
fn refused(
    report: &mut Report,
    settings: &Settings,
    role: network::Role,
    server: &ServerAddress,
    failure: &Failure,
    shown: Option<&Certificate>,
) {
    let file = authority(settings, role).unwrap_or_else(|| "the CA file".to_owned());
    let presented = shown.map(|certificate| format!("; it presents {}", describe(certificate))).unwrap_or_default();
    let reason = failure.to_string();
    let fix = if reason.contains("CaUsedAsEndEntity") {
        format!("issue the broker a certificate that is no CA (basicConstraints CA:FALSE), or put this one into {file}")
    } else if reason.contains("NotValidForName") || reason.contains("not valid for name") {
        let names = shown.map(|certificate| certificate.names.join(", ")).unwrap_or_default();
        format!("reach it by a name of its certificate ({names}), or issue one for {}", server.host())
    } else if reason.contains("UnknownIssuer") || reason.contains("BadSignature") {
        let issuer = shown.map(|certificate| certificate.issuer.clone()).unwrap_or_default();
        format!("put the certificate of {issuer} into {file}, or have the broker's issued by one that is there")
    } else if reason.contains("xpired") || reason.contains("NotValidYet") || reason.contains("not valid yet") {
        "renew the broker's certificate, or correct the clock of this machine".to_owned()
    } else {
        "compare the TLS settings of the broker and of this machine (plugin.security.*)".to_owned()
    };
    let reason = reason.split("; ").next().unwrap_or_default().to_owned();
    report.fail(CHECK, format!("{server}: {reason}{presented}"), fix);
}

/// The certificate that was not accepted.
async fn shown_all_the_same(server: &ServerAddress, address: std::net::SocketAddr) -> Option<Certificate> {
    let tls = Tls::unverified().ok()?;
    let stream = probe::open(address, LIMIT).await.ok()?;
    if server.scheme() == Scheme::Wss {
        return probe::encrypt(stream, &tls, server.host(), LIMIT).await.ok();
    }
    probe::greeting(stream, LIMIT).await.ok()?.encrypt(&tls, server.host(), LIMIT).await.ok()
}

fn describe(certificate: &Certificate) -> String {
    let by = if certificate.issuer == certificate.subject {
        "self-signed".to_owned()
    } else {
        format!("signed by {}", certificate.issuer)
    };
    let mark = if certificate.is_authority { ", marked as a CA" } else { "" };
    format!("certificate {}, {by}{mark}", certificate.subject)
}

/// The file of trusted certificates in force.
fn authority(settings: &Settings, role: network::Role) -> Option<String> {
    let anonymous = settings.get(match role {
        network::Role::Server => keys::SECURITY_SERVER_ANON_TLS,
        network::Role::Client => keys::SECURITY_CLIENT_ANON_TLS,
    });
    if anonymous || !settings.protection().verify_tls {
        return None;
    }
    let key = if settings.provider() == "file" { keys::SECURITY_FILE_CA } else { keys::SECURITY_CHORIA_CA };
    settings.get(key).map(|file| file.display().to_string())
}

/// A whole handshake.
const LIMIT: Duration = Duration::from_secs(5);

/// Certificates are renewed by people; two weeks are time enough for them.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
