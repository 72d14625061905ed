//! Hands in one message by whichever way there is: `hand-in SPOOL SOCKET SUBJECT PAYLOAD`. Prints the id, or the kind of
//! error and its sentence; for tests that run it as another user.

use choria_local as local;
use config::keys;
use std::process::ExitCode;
use submission::{Draft, Settings};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [spool, socket, subject, payload] = words.as_slice() else {
        eprintln!("usage: hand-in SPOOL SOCKET SUBJECT PAYLOAD");
        return ExitCode::from(2);
    };
    let config = config::Settings::builder()
        .set(keys::IDENTITY.name(), "n1.example.net")
        .set(keys::SUBMISSION_SPOOL.name(), spool)
        .set(keys::SUBMISSION_SOCKET.name(), socket)
        .build();
    let settings = config.map_err(|problems| problems.to_string()).and_then(|config| {
        let settings = Settings::from_settings(&config).map_err(|error| error.to_string())?;
        settings.ok_or_else(|| "no spool".to_owned())
    });
    let draft = Draft::new(subject, payload.as_bytes());
    let submitted = settings
        .and_then(|settings| local::submission::submit(&settings, &draft).map_err(|error| format!("{error:?}")));
    match submitted {
        Ok(id) => {
            println!("{id}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
