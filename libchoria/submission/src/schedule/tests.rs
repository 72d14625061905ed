use super::*;
use crate::draft::{Draft, Sender, accept};
use crate::spool::EntryName;
use crate::words::Priority;
use proptest::prelude::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_252_658)
}

/// An entry written as `r` or `u` (reliable or not), then what is special: `e` expired, `x` tried often enough, `w` waits
/// three seconds, `l` waits for longer than anything ever waits, `d` was tried and is due.
fn entry(number: usize, kind: &str) -> Entry {
    let draft = Draft { reliable: kind.starts_with('r'), ..Draft::new("a.b", number.to_string()) };
    let created = if kind.contains('e') { now() - Duration::from_secs(86_401) } else { now() };
    let mut message = accept(draft, Sender::user(0), "n1", format!("id-{number}").parse().unwrap(), created).unwrap();
    let in_seconds = |seconds| Timestamp::from(now() + Duration::from_secs(seconds));
    if kind.contains('x') {
        message.tries = message.max_tries;
    }
    for (letter, next_try) in [('w', 3), ('l', 3600), ('d', 0)] {
        if kind.contains(letter) {
            (message.tries, message.next_try) = (1, in_seconds(next_try));
        }
    }
    let name = EntryName::new(u64::try_from(number).unwrap(), SystemTime::UNIX_EPOCH).0;
    Entry { queue: Priority::default(), name, message, size: 0 }
}

fn queue(kinds: &[&str]) -> Vec<Entry> {
    kinds.iter().enumerate().map(|(number, kind)| entry(number, kind)).collect()
}

/// The steps as text: `p0` publish the first, `d1` drop the second.
fn steps(queue: &[Entry]) -> String {
    let text = |step| match step {
        Step::Publish(Entry { message, .. }) => format!("p{}", String::from_utf8_lossy(&message.payload)),
        Step::Drop(Entry { message, .. }, why) => {
            format!("d{}:{}", String::from_utf8_lossy(&message.payload), why.as_str())
        }
        Step::Sleep(time) => format!("sleep {}", time.as_secs()),
        Step::Idle => "idle".to_owned(),
    };
    let mut upcoming = upcoming(queue, now());
    let mut all: Vec<String> = upcoming.by_ref().map(text).collect();
    all.push(text(upcoming.wait()));
    all.join(" ")
}

#[test]
fn reliable_messages_keep_their_order() {
    let rows: &[(&str, &[&str], &str)] = &[
        ("nothing", &[], "idle"),
        ("in order", &["r", "u", "r"], "p0 p1 p2 idle"),
        ("one waits", &["rw", "r", "r"], "sleep 3"),
        ("best effort is not held up", &["rw", "u", "r", "u"], "p1 p3 sleep 3"),
        ("what is before goes on", &["r", "rw", "r"], "p0 sleep 3"),
        ("one is due", &["rd", "r"], "p0 p1 idle"),
        ("the clock was set back", &["rl", "r"], "p0 p1 idle"),
        ("what expired is dropped, held up or not", &["rw", "re", "ue", "r"], "d1:expired d2:expired sleep 3"),
        ("what was tried often enough is dropped", &["rx", "r"], "d0:max_tries p1 idle"),
        ("expiry counts first", &["rex"], "d0:expired idle"),
    ];
    for (name, kinds, expected) in rows {
        assert_eq!(steps(&queue(kinds)), *expected, "{name}");
    }
}

#[test]
fn one_step_at_a_time_is_the_first_of_all() {
    let pending = queue(&["rw", "u"]);
    assert_eq!(next(&pending, now()), Step::Publish(&pending[1]));
    assert_eq!(next(&pending[..1], now()), Step::Sleep(Duration::from_secs(3)));
    assert_eq!(next(&pending[..0], now()), Step::Idle);
}

#[test]
fn an_attempt_settles_a_message() {
    let message = |kind: &str, tries, max_tries| Message { tries, max_tries, ..entry(0, kind).message };
    let rows = [
        ("acknowledged", message("r", 0, 100), Outcome::Acknowledged, "remove"),
        ("sent", message("u", 0, 100), Outcome::Sent, "remove"),
        ("best effort failed", message("u", 0, 100), Outcome::Failed, "remove"),
        ("unsignable", message("r", 0, 100), Outcome::Unsignable, "drop unsignable"),
        ("failed", message("r", 0, 100), Outcome::Failed, "retry 1 in 750 ms"),
        ("failed again", message("r", 9, 100), Outcome::Failed, "retry 10 in 5000 ms"),
        ("failed very often", message("r", 98, 100), Outcome::Failed, "retry 99 in 5000 ms"),
        ("failed too often", message("r", 99, 100), Outcome::Failed, "drop max_tries"),
        ("failed with one try", message("r", 0, 1), Outcome::Failed, "drop max_tries"),
        ("failed with tries beyond", message("r", u64::MAX, u64::MAX), Outcome::Failed, "drop max_tries"),
    ];
    for (name, before, outcome, expected) in rows {
        let got = match after(&before, outcome, now(), 0.5) {
            Settle::Remove => "remove".to_owned(),
            Settle::Drop(why) => format!("drop {}", why.as_str()),
            Settle::Retry(retry) => {
                let wait = retry.next_try.ahead(now()).as_millis();
                let unchanged = Message { tries: before.tries, next_try: before.next_try, ..(*retry).clone() };
                assert_eq!(unchanged, before, "{name}");
                format!("retry {} in {wait} ms", retry.tries)
            }
        };
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn backoff_is_the_recorded_one() {
    let rows = [
        (1, 0.0, 375),
        (1, 1.0, 1125),
        (2, 0.0, 500),
        (10, 0.0, 2500),
        (10, 1.0, 7500),
        (u64::MAX, 1.0, 7500),
        (1, f64::NAN, 750),
        (1, 9.0, 1125),
    ];
    for (tries, random, expected) in rows {
        assert_eq!(backoff(tries, random).as_millis(), expected, "{tries} {random}");
        assert!(backoff(tries, random) <= LONGEST_WAIT);
    }
}

proptest! {
    /// Whatever fails and whenever: reliable messages arrive in order, each once, unless they are dropped.
    #[test]
    fn order_survives_failures(
        kinds in proptest::collection::vec(prop_oneof!["r", "u"], 1..20),
        fails in proptest::collection::vec(any::<bool>(), 200),
        window in 1usize..6,
    ) {
        let mut pending = queue(&kinds.iter().map(String::as_str).collect::<Vec<_>>());
        let mut fails = fails.into_iter();
        let mut clock = now();
        let mut arrived: Vec<usize> = Vec::new();
        for _ in 0..2000 {
            if pending.is_empty() {
                break;
            }
            let batch: Vec<Entry> = upcoming(&pending, clock).take(window).filter_map(|step| match step {
                Step::Publish(entry) => Some(entry.clone()),
                _ => None,
            }).collect();
            if batch.is_empty() {
                clock += Duration::from_millis(500);
            }
            let mut failed = false;
            for entry in batch {
                let number: usize = String::from_utf8_lossy(&entry.message.payload).parse().unwrap();
                // As a deliverer does: what was published behind a failed one is not counted on.
                if entry.message.reliable && failed {
                    continue;
                }
                let fail = entry.message.reliable && fails.next().unwrap_or(false);
                failed |= fail;
                let outcome = match (entry.message.reliable, fail) {
                    (_, true) => Outcome::Failed,
                    (true, false) => Outcome::Acknowledged,
                    (false, _) => Outcome::Sent,
                };
                let place = pending.iter().position(|other| other.name == entry.name).unwrap();
                match after(&entry.message, outcome, clock, 0.3) {
                    Settle::Retry(message) => pending[place].message = *message,
                    Settle::Remove => { arrived.push(number); pending.remove(place); }
                    Settle::Drop(_) => { pending.remove(place); }
                }
            }
        }
        prop_assert!(pending.is_empty());
        let reliable: Vec<usize> = arrived.iter().copied().filter(|number| kinds[*number] == "r").collect();
        prop_assert!(reliable.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", reliable);
        prop_assert_eq!(arrived.len(), kinds.len());
    }
}
