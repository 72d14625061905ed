//! What the configuration says about submission, and that all questions are asked before a message is accepted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use choria_submission::{Caller, Draft, Limits, MessageId, Refusal, Settings};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

fn settings(values: &[(&str, &str)]) -> Result<Option<Settings>, String> {
    let builder = config::Settings::builder().set("identity", "n1.example.net");
    let builder = values.iter().fold(builder, |builder, (key, value)| builder.set(key, value));
    Settings::from_settings(&builder.build().map_err(|problems| problems.to_string())?)
        .map_err(|error| error.to_string())
}

const SPOOL: (&str, &str) = ("plugin.choria.submission.spool", "/nonexistent/spool");

#[test]
fn defaults_are_those_of_the_keys() {
    let settings = settings(&[SPOOL]).unwrap().unwrap();
    assert_eq!(settings.spool, Path::new("/nonexistent/spool"));
    assert_eq!(settings.socket, Path::new("/run/choria/submit.sock"));
    assert_eq!((settings.limits, settings.identity.as_str()), (Limits::default(), "n1.example.net"));
    assert_eq!(settings.rules.to_string(), "* local.>");
}

#[test]
fn values_are_read_and_bad_ones_refused() {
    let key = |name: &str| format!("plugin.choria.submission.{name}");
    let rows = [
        ("max_spool_size", "0", "must be 1 or more"),
        ("max_spool_bytes", "0", "must be 1 or more"),
        ("max_message_size", "8388609", "must be from 1 to 8388608"),
        ("allow", "* local.>, alice", "\"alice\" is no rule of plugin.choria.submission.allow: it is not two words"),
        ("socket", "submit.sock", "plugin.choria.submission.socket is submit.sock, which is not an absolute path"),
        ("spool", "spool", "plugin.choria.submission.spool is spool, which is not an absolute path"),
    ];
    for (name, value, expected) in rows {
        let verdict = settings(&[SPOOL, (&key(name), value)]).map(drop);
        assert!(verdict.as_ref().is_err_and(|error| error.contains(expected)), "{name} = {value}: {verdict:?}");
    }
    let own = settings(&[
        SPOOL,
        (&key("max_spool_size"), "5"),
        (&key("max_spool_bytes"), "1000"),
        (&key("max_message_size"), "100"),
        (&key("allow"), "%ops jobs.>"),
        (&key("socket"), "/run/x.sock"),
    ]);
    let own = own.unwrap().unwrap();
    assert_eq!(own.limits, Limits { max_messages: 5, max_bytes: 1000, max_message_size: 100 });
    assert_eq!((own.rules.to_string(), own.socket), ("%ops jobs.>".to_owned(), PathBuf::from("/run/x.sock")));
}

#[test]
fn all_questions_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().to_str().unwrap();
    let mine = nix::unistd::Uid::effective().as_raw();
    let owner = if mine == 0 { 4711 } else { mine };
    if mine == 0 {
        chown(folder.path(), Some(owner), None).unwrap();
    }
    let settings = settings(&[(SPOOL.0, spool), ("plugin.choria.submission.max_message_size", "5")]).unwrap().unwrap();
    let judge = |uid, draft: Draft| {
        let caller = Caller { uid, user: None, groups: &[] };
        settings.accept(draft, &caller, MessageId::generate(), SystemTime::now()).map(|message| message.sender)
    };
    let named = || Draft { sender: Some("backup".to_owned()), ..Draft::new("jobs.a", "12345") };
    assert_eq!(judge(99, Draft::new("local.a", "12345")), Ok("user 99".to_owned()));
    assert!(matches!(judge(99, Draft::new("jobs.a", "12345")), Err(Refusal::NotAllowed { .. })));
    assert!(matches!(
        judge(99, Draft { subject: "local.a".to_owned(), ..named() }),
        Err(Refusal::Sender { uid: 99, .. })
    ));
    assert_eq!(judge(99, Draft::new("local.a", "123456")), Err(Refusal::TooLarge { size: 6, most: 5 }));
    assert!(matches!(judge(99, Draft::new("local.*", "1")), Err(Refusal::Invalid(_))));
    // The owner of the spool and root can write the files anyway.
    assert_eq!(judge(owner, named()), Ok("backup".to_owned()));
    assert_eq!(judge(0, named()), Ok("backup".to_owned()));
}
