//! What the token allows, as it says and as the broker says.

use super::clock;
use super::credentials::Claims;
use super::report::{Report, milliseconds};
use config::{Settings, keys};
use network::Connection;
use serde::Deserialize;
use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokens::{ClientClaims, ClientPermissions};

/// The name of this check.
pub(super) const CHECK: &str = "permissions";

/// What a broker tells a client about itself.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    server: Server,
    #[serde(default)]
    data: User,
}

#[derive(Debug, Default, Deserialize)]
struct Server {
    #[serde(default)]
    time: String,
}

#[derive(Debug, Default, Deserialize)]
struct User {
    #[serde(default)]
    account: String,
    permissions: Option<Lists>,
}

#[derive(Debug, Default, Deserialize)]
struct Lists {
    publish: Option<List>,
}

#[derive(Debug, Default, Deserialize)]
struct List {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

/// Examines a client's permissions. Whether requests may be sent to nodes.
pub(super) async fn client(
    report: &mut Report,
    settings: &Settings,
    claims: &ClientClaims,
    connection: &Connection,
) -> bool {
    let granted = claims.granted();
    let told = claimed(&granted);
    let answer = ask(report, settings, connection).await;
    let subject = format!("{}.broadcast.agent.discovery", settings.main_collective());
    let delegate =
        settings.get(keys::SECURITY_REQUEST_SIGNER_SERVICE) || settings.is_set(keys::SECURITY_REQUEST_SIGNER_URL);
    if !granted.fleet_management && !granted.signed_fleet_management {
        let fix = "have the token issued with fleet management: choria jwt client grants it unless --no-fleet-management is given";
        report.fail(CHECK, format!("{told}; without fleet_management nodes refuse every request"), fix);
        return false;
    }
    if granted.signed_fleet_management && !delegate {
        let fix = "set plugin.choria.security.request_signer.service = true, so that the AAA service signs requests";
        report.fail(
            CHECK,
            format!("{told}; requests need the signature of an AAA service and none is configured"),
            fix,
        );
        return false;
    }
    let Some((answer, took)) = answer else {
        let fix = "read the broker's log; every client may ask on $SYS.REQ.USER.INFO and listen on its own replies";
        report.fail(CHECK, format!("{told}; the broker does not answer on this client's own reply subjects"), fix);
        return false;
    };
    let publish = answer.data.permissions.and_then(|lists| lists.publish).unwrap_or_default();
    if !publish.allows(&subject) {
        let fix = "read the broker's log; its rules give this subject to tokens with fleet_management";
        report.fail(CHECK, format!("{told}; and the broker does not let it publish to {subject}"), fix);
        return false;
    }
    report.ok(CHECK, format!("{told}; account {}, round trip {}", answer.data.account, milliseconds(took)));
    true
}

/// Asks the broker who this is; its clock and the way to it are told by the same answer.
async fn ask(report: &mut Report, settings: &Settings, connection: &Connection) -> Option<(Answer, Duration)> {
    let (before, began) = (SystemTime::now(), Instant::now());
    let reply = connection.request(WHO_AM_I, Vec::new().into(), LIMIT).await.ok()?;
    let (after, took) = (SystemTime::now(), began.elapsed());
    let answer: Answer = serde_json::from_slice(&reply.payload).ok()?;
    if let Ok(theirs) = OffsetDateTime::parse(&answer.server.time, &Rfc3339) {
        clock::compare(report, "the broker", theirs.into(), (before, after), time_to_live(settings));
    }
    Some((answer, took))
}

/// For how long a request counts.
pub(super) fn time_to_live(settings: &Settings) -> Duration {
    Duration::from_secs(u64::try_from(settings.get(keys::TTL)).unwrap_or_default())
}

/// The permissions in a token, by the names of their claims.
fn claimed(granted: &ClientPermissions) -> String {
    let all = [
        (granted.org_admin, "org_admin"),
        (granted.fleet_management, "fleet_management"),
        (granted.signed_fleet_management, "signed_fleet_management"),
        (granted.streams_admin, "streams_admin"),
        (granted.streams_user, "streams_user"),
        (granted.events_viewer, "events_viewer"),
        (granted.election_user, "election_user"),
        (granted.governor, "governor"),
        (granted.system_user, "system_user"),
        (granted.authentication_delegator, "authentication_delegator"),
        (granted.server_provisioner, "provisioner"),
    ];
    let names: Vec<&str> = all.into_iter().filter(|(granted, _)| *granted).map(|(_, name)| name).collect();
    if names.is_empty() {
        "the token grants nothing".to_owned()
    } else {
        format!("the token grants {}", names.join(", "))
    }
}

/// What a server's token lets it do: the collectives it may join are those of the token.
pub(super) fn server(report: &mut Report, settings: &Settings, claims: &Claims) -> bool {
    let Claims::Server(claims) = claims else { return true };
    let missing: Vec<&str> = settings
        .collectives()
        .iter()
        .map(names::Collective::as_str)
        .filter(|name| !claims.collectives.iter().any(|own| own == name))
        .collect();
    let granted = claims.granted();
    let extra = [
        (granted.submission, "submission"),
        (granted.streams, "streams"),
        (granted.governor, "governor"),
        (granted.service_host, "service_host"),
    ];
    let extra: String =
        extra.into_iter().filter(|(granted, _)| *granted).map(|(_, name)| format!(", {name}")).collect();
    if missing.is_empty() {
        report.ok(CHECK, format!("the token is for the collectives {}{extra}", claims.collectives.join(", ")));
        return true;
    }
    let text = format!(
        "the token is for the collectives {} and the configuration joins {}, where nothing will arrive",
        claims.collectives.join(", "),
        missing.join(", ")
    );
    report.fail(
        CHECK,
        text,
        "correct collectives in the configuration, or have a token issued for them (choria jwt server --collectives)",
    );
    false
}

impl List {
    /// Whether nats-server lets a holder of these lists use `subject`, which has no wildcards.
    fn allows(&self, subject: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|pattern| covers(pattern, subject));
        (self.allow.is_empty() || listed(&self.allow)) && !listed(&self.deny)
    }
}

/// Whether `pattern`, in which `*` is one word and a last `>` all that follow, covers `subject`.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut words, mut rest) = (pattern.split('.'), subject.split('.'));
    loop {
        match (words.next(), rest.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some(word), Some(given)) if word == "*" || word == given => {}
            _ => return false,
        }
    }
}

/// Every client token may ask this.
const WHO_AM_I: &str = "$SYS.REQ.USER.INFO";

/// The broker itself answers.
const LIMIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_nats_says_they_do() {
        let rows = [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a.b", true),
            ("*.broadcast.agent.>", "choria.broadcast.agent.discovery", true),
            ("*.node.>", "choria.broadcast.agent.discovery", false),
            ("a.b.c", "a.b", false),
        ];
        for (pattern, subject, expected) in rows {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
        let deny = List { allow: Vec::new(), deny: vec![">".to_owned()] };
        assert!(!deny.allows("a") && List::default().allows("a"));
    }

    #[test]
    fn permissions_have_the_names_of_their_claims() {
        let some = ClientPermissions { fleet_management: true, governor: true, ..ClientPermissions::default() };
        assert_eq!(claimed(&some), "the token grants fleet_management, governor");
        assert_eq!(claimed(&ClientPermissions::default()), "the token grants nothing");
    }
}
