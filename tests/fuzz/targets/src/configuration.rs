//! Configuration: a whole file as server and client read it, or one value for one key.

use crate::assert_readable;
use config::{FixedEnvironment, Inputs, Kind, Settings, Value, find_key, load, table};
use std::path::Path;

/// `0xff`, the number of a key in two bytes and a value; anything else is a file.
pub(crate) fn run(data: &[u8]) {
    if let [0xff, high, low, value @ ..] = data {
        let number = usize::from(u16::from_be_bytes([*high, *low]));
        let key = table().nth(number % table().count()).expect("a key");
        if let Ok(text) = std::str::from_utf8(value) {
            one_value(key, text);
        }
    } else {
        file(data);
    }
}

fn file(data: &[u8]) {
    let main = Path::new("/etc/choria/choria.conf");
    let environment = FixedEnvironment::default()
        .with_file(main, data)
        .with_file("/etc/choria/plugin.d/fuzz.cfg", data)
        .with_file("/srv/project/choria.conf", data);
    let environment = FixedEnvironment { working_directory: "/srv/project".into(), ..environment };
    for kind in [Kind::Server, Kind::client(&environment)] {
        match load(main, kind, &environment) {
            Ok(inputs) => check(inputs, data),
            Err(error) => assert_readable(&error.to_string()),
        }
    }
}

fn check(inputs: Inputs, data: &[u8]) {
    match inputs.check() {
        Ok(settings) => {
            for key in table() {
                read(&settings, key.name);
            }
            let again = settings.with(&[]).expect("nothing was changed");
            assert_eq!(again.identity(), settings.identity());
            assert!(settings.collectives().contains(settings.main_collective()));
            for warning in settings.warnings() {
                assert_readable(&warning.to_string());
                hides_secrets(&warning.to_string(), data);
            }
            hides_secrets(&format!("{settings:?}"), data);
        }
        Err(problems) => {
            assert!(!problems.list().is_empty());
            for problem in problems.list() {
                assert_readable(&problem.to_string());
                hides_secrets(&problem.to_string(), data);
            }
        }
    }
}

fn one_value(key: &'static config::KeyInfo, text: &str) {
    match Settings::builder().set(key.name, text).build() {
        Ok(settings) => read(&settings, key.name),
        Err(problems) => {
            for problem in problems.list() {
                assert_readable(&problem.to_string());
                let hidden = !key.secret || text.len() < MARKED || !problem.to_string().contains(text);
                assert!(hidden, "a secret is shown: {problem}");
            }
        }
    }
}

/// Every way to ask for a value.
fn read(settings: &Settings, key: &str) {
    let value = settings.value(key);
    let shown = settings.json(key).filter(|_| value.is_some());
    if find_key(key).is_some_and(|info| info.secret) {
        assert!(shown.is_none_or(|json| json == "*****" || json == ""), "the secret of {key} is shown");
    } else {
        assert_eq!(value.map(Value::to_json), shown, "{key}");
    }
    let _ = (settings.raw(key), settings.place(key));
}

/// Values of secret keys that are long and stand in the file once do not stand in `shown`.
fn hides_secrets(shown: &str, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let (key, value) = (key.trim(), value.trim());
        let is_marked = value.len() >= MARKED && text.matches(value).count() == 1;
        if is_marked && find_key(key).is_some_and(|info| info.secret) {
            assert!(!shown.contains(value), "the secret of {key} is shown: {shown}");
        }
    }
}

/// Values this long do not stand in a text by chance.
const MARKED: usize = 12;
