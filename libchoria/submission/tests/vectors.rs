//! Recorded messages: files of the spool are written back as they were read, the published headers are ours, and their
//! signatures verify.

use choria_submission::{Message, VerifiedSubmission, VerifyError, verify, wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tokens::{PublicKey, Signature, TrustRoots};
use vectors::{Folder, Tally};

const DAY: Duration = Duration::from_secs(86_400);

fn each(what: &str, wanted: &str, check: impl Fn(&Folder, &Value) -> Result<(), String>) {
    let folder = Folder::open("submission");
    let mut tally = Tally::new(what);
    for case in folder.index["cases"].as_array().expect("a list of cases").iter().filter(|case| !case[wanted].is_null())
    {
        tally.case(case["name"].as_str().expect("a name"), || check(&folder, case));
    }
    tally.finish();
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} of {case}"))
}

fn message(folder: &Folder, case: &Value) -> Result<Message, String> {
    Message::parse(&folder.read(text(case, "spool_file"))).map_err(|error| error.to_string())
}

/// The recorded headers as pairs.
fn headers(folder: &Folder, case: &Value) -> Vec<(String, String)> {
    let block = folder.text(text(case, "header_file"));
    let lines = block.lines().skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).expect("a header"))
        .collect()
}

fn roots() -> TrustRoots {
    let issuer = Folder::open("tokens").index["issuer_public_key"].as_str().expect("a key").parse().expect("a key");
    TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)]))
}

#[test]
fn files_of_the_spool_are_written_as_they_were_read() {
    each("submission, spool files", "spool_file", |folder, case| {
        let recorded = folder.read(text(case, "spool_file"));
        let written = message(folder, case)?.to_json();
        if written == recorded { Ok(()) } else { Err(String::from_utf8_lossy(&written).into_owned()) }
    });
}

#[test]
fn headers_and_subject_are_the_recorded_ones() {
    each("submission, published messages", "spool_file", |folder, case| {
        // The file was copied after some tries; the recorded publish is the first.
        let message = {
            let mut message = message(folder, case)?;
            message.tries = 0;
            message
        };
        let mut recorded = headers(folder, case);
        let find = |name: &str| recorded.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let (token, signature) = (find("Choria-Token"), find("Choria-Signature"));
        let signed = match &signature {
            Some(signature) => {
                let signature = Signature::from_hex(signature).map_err(|error| error.to_string())?;
                Some(wire::Signed { signature, token: token.as_deref() })
            }
            None => None,
        };
        let mut ours = wire::encode(&message, signed.as_ref());
        ours.sort();
        recorded.sort();
        let subject = wire::subject(&"choria".parse().expect("a collective"), &message);
        let payload = folder.read(text(case, "payload_file"));
        let same = (ours == recorded, subject == text(case, "subject"), message.payload == payload);
        if same == (true, true, true) { Ok(()) } else { Err(format!("{same:?}: {ours:?} {subject}")) }
    });
}

#[test]
fn recorded_signatures_verify() {
    each("submission, signatures", "signature", |folder, case| {
        let (headers, payload) = (headers(folder, case), folder.read(text(case, "payload_file")));
        let created: u64 =
            headers.iter().find(|(name, _)| name == "Choria-Created").expect("a time").1.parse().expect("a number");
        let created = SystemTime::UNIX_EPOCH + Duration::from_nanos(created);
        let check = |payload: &[u8], now| verify(&headers, payload, &roots(), DAY, now);
        let VerifiedSubmission { identity, id, sender, .. } =
            check(&payload, created + DAY).map_err(|error| error.to_string())?;
        assert_eq!((&*identity, &*sender, id.as_str()), ("s1.choria.local", "user 0", text(case, "msg_id")));
        assert_eq!(check(b"other", created).err(), Some(VerifyError::Signature));
        let late = check(&payload, created + DAY + Duration::from_secs(1)).err();
        assert_eq!(late, Some(VerifyError::Stale { age_s: 86_401, most_s: 86_400 }));
        Ok(())
    });
}

#[test]
fn messages_without_a_signature_are_told_apart() {
    let folder = Folder::open("submission");
    let mut tally = Tally::new("submission, unsigned");
    for case in
        folder.index["cases"].as_array().expect("a list of cases").iter().filter(|case| case["signature"].is_null())
    {
        tally.case(text(case, "name"), || {
            let payload = folder.read(text(case, "payload_file"));
            let verdict = verify(&headers(&folder, case), &payload, &roots(), DAY, SystemTime::UNIX_EPOCH);
            match verdict {
                Err(VerifyError::Missing("Choria-Signature")) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    tally.finish();
}

#[test]
fn the_recorded_signature_is_of_the_payload_alone() {
    each("submission, signed bytes", "signature", |folder, case| {
        let headers = headers(folder, case);
        let token = &headers.iter().find(|(name, _)| name == "Choria-Token").expect("a token").1;
        let key: PublicKey = tokens::read_server(token).expect("claims").standard.holder_key().expect("a key");
        let signature = Signature::from_hex(text(case, "signature")).expect("a signature");
        if key.verify(&folder.read(text(case, "payload_file")), &signature) {
            Ok(())
        } else {
            Err("not of the payload".into())
        }
    });
}
