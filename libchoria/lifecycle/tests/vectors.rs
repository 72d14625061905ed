//! The recorded lifecycle and machine events: read, written again with the same keys, printed as the tool prints them.

use choria_lifecycle::{CloudEvent, Event, Format};
use serde_json::Value;
use vectors::{Folder, Tally};

#[test]
fn every_recorded_event_is_read_and_written_again() {
    let folder = Folder::open("lifecycle");
    let mut tally = Tally::new("lifecycle events");
    for case in folder.index["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        tally.case(name, || {
            let raw = folder.read(case["file"].as_str().ok_or("no file")?);
            let written =
                if name.starts_with("lifecycle") { rewrite_event(&raw, case)? } else { rewrite_machine(&raw)? };
            equal(&*String::from_utf8_lossy(&written), String::from_utf8_lossy(&raw).trim_end())?;
            let value: Value = serde_json::from_slice(&written).map_err(|error| error.to_string())?;
            equal(&value, &case["event"])
        });
    }
    tally.finish();
}

#[test]
fn the_tool_prints_the_recorded_lines() {
    let folder = Folder::open("lifecycle");
    let mut tally = Tally::new("lifecycle tool lines");
    let recorded = folder.text("tool-event.txt") + &folder.text("tool-event-governor.txt");
    let lines: Vec<&str> = recorded.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| line).collect();
    for case in folder.index["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        if !name.starts_with("lifecycle") {
            continue;
        }
        tally.case(name, || {
            let event =
                Event::parse(&folder.read(case["file"].as_str().ok_or("no file")?)).map_err(|e| e.to_string())?;
            // The lines are of another run: they name other nodes and components at times.
            let line = event.to_string();
            let found = lines.iter().any(|recorded| shape(recorded) == shape(&line));
            if found { Ok(()) } else { Err(format!("no recorded line has the shape of {line:?}")) }
        });
    }
    tally.finish();
}

/// Reads a lifecycle event, checks its subject and writes it in the format it came in.
fn rewrite_event(raw: &[u8], case: &Value) -> Result<Vec<u8>, String> {
    let event = Event::parse(raw).map_err(|error| error.to_string())?;
    equal(&Value::from(event.subject()), &case["subject"])?;
    let format = if case["event"]["specversion"].is_null() { Format::Bare } else { Format::CloudEvent };
    Ok(event.encode(format))
}

/// Reads a machine event's envelope and writes it; it is no lifecycle event.
fn rewrite_machine(raw: &[u8]) -> Result<Vec<u8>, String> {
    if let Ok(event) = Event::parse(raw) {
        return Err(format!("a machine event was read as {event}"));
    }
    Ok(CloudEvent::parse(raw).map_err(|error| error.to_string())?.encode())
}

/// The words of a line, with node names, components and versions made equal.
fn shape(line: &str) -> Vec<&str> {
    let word = |word| match word {
        "provisioner_signer:" => "NODE",
        "server" | "provision_mode_server" | "service_host" | "provisioner" => "COMPONENT",
        "0.29.4" | "0.0.0" => "VERSION",
        word if word.ends_with(".choria.local:") => "NODE",
        word => word,
    };
    line.split_whitespace().map(word).collect()
}

fn equal<T: PartialEq + std::fmt::Debug + ?Sized>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}
