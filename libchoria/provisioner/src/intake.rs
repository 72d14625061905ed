//! Who announces itself: startup events of nodes in provisioning mode (spec 06 §5).

use lifecycle::{Component, Event, Kind};
use names::Identity;

/// Where the startup events of `component` travel.
pub(crate) fn subject(component: &Component) -> String {
    format!("choria.lifecycle.event.startup.{component}")
}

/// The node that announces itself, bare or in a CloudEvent; its name is one that can stand in a subject.
///
/// # Errors
/// What cannot be read, is another event or of another component; anybody with a provisioning token may send anything.
pub(crate) fn read(payload: &[u8], component: &Component) -> Result<Identity, String> {
    let event = Event::parse(payload).map_err(|error| error.to_string())?;
    if !matches!(event.kind, Kind::Startup { .. }) {
        return Err(format!("a {} event on the subject of startup events", event.kind.name()));
    }
    if event.component != *component {
        return Err(format!("an event of {} instead of {component}", event.component));
    }
    Ok(event.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_events_are_read() {
        let bare = |kind: &str, identity: &str, component: &str| {
            format!(
                r#"{{"protocol":"io.choria.lifecycle.v1.{kind}","id":"1","identity":"{identity}","component":"{component}","timestamp":1,"version":"1"}}"#
            )
        };
        let path = vectors::root().join("lifecycle/lifecycle-event-startup-provision_mode_server--995.json");
        let recorded = std::fs::read_to_string(path).expect("a recording");
        let ours = "provision_mode_server";
        let rows = [
            (recorded, Ok("s1.choria.local")),
            (bare("startup", "n1.example.net", ours), Ok("n1.example.net")),
            (bare("shutdown", "n1.example.net", ours), Err("a shutdown event")),
            (bare("startup", "n1.example.net", "server"), Err("an event of server instead of")),
            (bare("startup", "n1.>", ours), Err("identity")),
            (bare("startup", "a b", ours), Err("identity")),
            (bare("startup", "", ours), Err("identity")),
            ("garbage".to_owned(), Err("not readable")),
            ("{}".to_owned(), Err("unsupported event format")),
        ];
        let component = ours.parse().expect("a component");
        for (payload, expected) in rows {
            match (read(payload.as_bytes(), &component), expected) {
                (Ok(identity), Ok(expected)) => assert_eq!(identity, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{payload}: {error}"),
                (got, _) => panic!("{payload}: {got:?}"),
            }
        }
        assert_eq!(subject(&component), "choria.lifecycle.event.startup.provision_mode_server");
    }
}
