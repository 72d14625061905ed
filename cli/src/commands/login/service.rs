//! The question to the AAA service (spec 07 §4.1), and its answer.

use super::prompt::Person;
use crate::output::printable;
use anyhow::{Context, anyhow, bail};
use network::Tls;
use network::http::{Answer, Limits, Url, post};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};
use tokens::Seed;
use zeroize::Zeroizing;

/// What is sent. The signature proves that who has the password also has the key.
#[derive(Serialize)]
struct Question<'a> {
    username: &'a str,
    password: &'a str,
    timestamp: &'a str,
    public_key: String,
    signature: String,
}

/// Asks one address after the other until one answers; the token it gives.
///
/// # Errors
/// With what the service said, or with why each address could not be asked.
pub(super) async fn log_in(urls: &[Url], tls: &Tls, person: &Person, seed: &Seed) -> anyhow::Result<String> {
    let mut failures = Vec::new();
    for url in urls {
        let question = question(person, seed, SystemTime::now())?;
        match post(url, "application/json", question.as_bytes().to_vec(), tls, LIMITS).await {
            Ok(answer) => return token(&answer),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(anyhow!("could not log in: {}", failures.join("; ")))
}

/// The body to send. The service refuses times that lie in its future, however little, and takes those of the last minute;
/// so the time sent is a little late, for clocks that are a little early.
fn question(person: &Person, seed: &Seed, now: SystemTime) -> anyhow::Result<Zeroizing<String>> {
    let since = (now - EARLY).duration_since(SystemTime::UNIX_EPOCH).context("the clock of this machine is wrong")?;
    let timestamp = since.as_secs().to_string();
    let signed = Zeroizing::new(format!("{timestamp}:{}:{}", person.name, person.password.as_str()));
    let question = Question {
        username: &person.name,
        password: &person.password,
        timestamp: &timestamp,
        public_key: seed.public().to_string(),
        signature: seed.sign(signed.as_bytes()).to_hex(),
    };
    Ok(Zeroizing::new(serde_json::to_string(&question)?))
}

/// The token in an answer.
fn token(answer: &Answer) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 {
        let short: String = text.chars().take(200).collect();
        bail!("invalid response code {}: {}", answer.status, printable(short.trim()));
    }
    let said: HashMap<String, String> =
        serde_json::from_str(&text).context("the login service gave no answer that is a JSON object of texts")?;
    let part = |name: &str| said.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    if let Some(error) = part("error") {
        bail!("{}", printable(error));
    }
    Ok(part("token").context("no token received")?.to_owned())
}

/// Checking a password is slow on purpose, and services check one at a time.
const LIMITS: Limits = Limits { time: Duration::from_secs(30), body: 256 * 1024 };

/// How late the time sent is.
const EARLY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_signed_over_time_user_and_password() {
        let seed = Seed::from_bytes([7; 32]);
        let person = Person { name: "jo".to_owned(), password: Zeroizing::new("se:\"cret".to_owned()) };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_002);
        let body: HashMap<String, String> =
            serde_json::from_str(&question(&person, &seed, now).expect("a question")).expect("texts");
        assert_eq!(body["timestamp"], "1700000000");
        assert_eq!((body["username"].as_str(), body["password"].as_str()), ("jo", "se:\"cret"));
        assert_eq!(body["public_key"], seed.public().to_string());
        assert_eq!(body["signature"], seed.sign(b"1700000000:jo:se:\"cret").to_hex());
        assert_eq!(body.len(), 5);
    }

    #[test]
    fn answers_are_tokens_or_the_known_sentences() {
        let rows = [
            (200, "{\"token\":\"a.b.c\"}\n", Ok("a.b.c")),
            (200, "{\"token\":\"a.b.c\",\"error\":\"\"}", Ok("a.b.c")),
            (200, "{\"error\":\"Login failed\"}", Err("Login failed")),
            (200, "{\"token\":\"a.b.c\",\"error\":\"Login failed\"}", Err("Login failed")),
            (200, "{\"error\":\"a\\u001b[2Jb\"}", Err("a")),
            (200, "{}", Err("no token received")),
            (200, "{\"token\":1}", Err("the login service gave no answer")),
            (200, "<html>", Err("the login service gave no answer")),
            (404, "{\"code\":404}", Err("invalid response code 404: {\"code\":404}")),
            (502, "", Err("invalid response code 502: ")),
        ];
        for (status, body, expected) in rows {
            let answer = Answer { status, body: body.to_owned().into() };
            match (token(&answer), expected) {
                (Ok(token), Ok(wanted)) => assert_eq!(token, wanted, "{body}"),
                (Err(error), Err(start)) => {
                    assert!(error.to_string().starts_with(start), "{body}: {error}");
                    assert!(!error.to_string().contains('\u{1b}'), "{body}");
                }
                (got, _) => panic!("{body}: {got:?}"),
            }
        }
    }
}
