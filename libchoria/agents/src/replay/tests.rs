use super::*;
use protocol::{Filter, Version};

const NOW: u64 = 1_795_254_300;
const HOUR: u64 = 3600;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn request(caller: &str, id: &str, made: u64, ttl: u32) -> Request {
    Request {
        version: Version::V2,
        id: id.parse().expect("an id"),
        sender: "client".parse().expect("a name"),
        caller: caller.parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "rpcutil".parse().expect("an agent"),
        ttl,
        time: at(made),
        filter: Filter::default(),
        payload: b"x".to_vec(),
    }
}

/// What a step does to the memory: caller, id, made, ttl, the clock on the wall, seconds since the start, the outcome.
type Step = (&'static str, &'static str, u64, u32, u64, u64, Result<Remembered, Replay>);

const ROOM: Result<Remembered, Replay> = Ok(Remembered::Room);
const SEEN: Result<Remembered, Replay> = Err(Replay::Seen);

#[test]
fn a_request_is_served_once_while_it_counts() {
    let rows: Vec<(&str, Vec<Step>)> = vec![
        (
            "again at once, late, and by somebody else",
            vec![
                ("up=alice", "1", NOW, 60, NOW, 0, ROOM),
                ("up=alice", "1", NOW, 60, NOW, 0, SEEN),
                ("up=alice", "1", NOW, 60, NOW + 59, 59, SEEN),
                ("up=bob", "1", NOW, 60, NOW + 59, 59, ROOM),
                ("up=alice", "2", NOW, 60, NOW + 59, 59, ROOM),
            ],
        ),
        (
            "made by a clock ahead: it counts for nearly twice its ttl",
            vec![
                ("up=alice", "1", NOW + 59, 60, NOW, 0, ROOM),
                ("up=alice", "1", NOW + 59, 60, NOW + 61, 61, SEEN),
                ("up=alice", "1", NOW + 59, 60, NOW + 118, 118, SEEN),
            ],
        ),
        (
            "the same id with another time and ttl is the same request",
            vec![("up=alice", "1", NOW, 10, NOW, 0, ROOM), ("up=alice", "1", NOW + 5, 60, NOW + 5, 5, SEEN)],
        ),
        (
            "the clock is set forth by an hour and back again",
            vec![
                ("up=alice", "1", NOW, 60, NOW, 0, ROOM),
                ("up=alice", "2", NOW + HOUR, 60, NOW + HOUR, 1, ROOM),
                ("up=alice", "1", NOW, 60, NOW + 2, 2, SEEN),
                ("up=alice", "2", NOW + HOUR, 60, NOW + HOUR, 50, SEEN),
            ],
        ),
        (
            "the clock is set back by an hour and runs on to the same time",
            vec![
                ("up=alice", "1", NOW, 60, NOW, 0, ROOM),
                ("up=alice", "2", NOW - HOUR, 60, NOW - HOUR, 1, ROOM),
                ("up=alice", "1", NOW, 60, NOW - 5, HOUR - 4, SEEN),
            ],
        ),
    ];
    for (name, steps) in rows {
        let mut served = Served::default();
        for (number, (caller, id, made, ttl, now, elapsed, expected)) in steps.into_iter().enumerate() {
            let got = served.accept(&request(caller, id, made, ttl), at(now), Duration::from_secs(elapsed));
            assert_eq!(got, expected, "{name}, step {number}");
        }
    }
}

#[test]
fn what_has_ended_is_forgotten_and_frees_its_memory() {
    let mut served = Served::default();
    assert_eq!((served.order.capacity(), served.ids.capacity()), (0, 0), "memory before the first request");
    for number in 0..1000 {
        served.accept(&request("up=alice", &number.to_string(), NOW, 60), at(NOW), Duration::ZERO).expect("it is new");
    }
    served
        .accept(&request("up=alice", "x", NOW + 100, 60), at(NOW + 100), Duration::from_secs(100))
        .expect("it is new");
    assert_eq!((served.order.len(), served.ids.len()), (1, 1));
    assert!(served.order.capacity() <= SMALL && served.ids.capacity() <= SMALL, "{} kept", served.order.capacity());
}

#[test]
fn a_full_memory_refuses_what_it_forgot() {
    let mut served = Served::default();
    let mut send = |caller: &str, id: usize, made: u64| {
        served.accept(&request(caller, &id.to_string(), made, 600), at(NOW + 300), Duration::from_secs(300))
    };
    send("up=bob", 0, NOW + 290).expect("it is new");
    for number in 1..CAPACITY {
        assert_eq!(send("up=alice", number, NOW + number as u64 / 100), ROOM, "{number}");
    }
    assert_eq!(send("up=alice", CAPACITY, NOW + 100), Ok(Remembered::Displaced), "of bob's");
    assert_eq!(send("up=bob", 0, NOW + 290), Err(Replay::Forgotten), "a replay of what was displaced");
    assert_eq!(send("up=bob", 1, NOW + 291), Ok(Remembered::Displaced), "newer than what was displaced");
    assert_eq!(send("up=alice", 1, NOW), Err(Replay::Forgotten), "displaced by bob's");
    assert_eq!(send("up=alice", CAPACITY + 1, NOW), Err(Replay::Forgotten), "as old as a displaced one, never served");
    assert_eq!(send("up=alice", 2000, NOW + 20), SEEN, "still remembered");
    assert_eq!(send("up=carol", 1, NOW - 200), Ok(Remembered::Displaced), "nothing of hers was forgotten");
}

#[test]
fn a_flood_dated_in_the_future_harms_its_sender_only() {
    let mut served = Served::default();
    for number in 0..CAPACITY * 2 {
        let flood = request("up=mallory", &number.to_string(), NOW + 100_000, 200_000);
        served.accept(&flood, at(NOW), Duration::ZERO).ok();
    }
    let later = Duration::from_secs(1);
    assert_eq!(served.accept(&request("up=mallory", "x", NOW, 60), at(NOW), later), Err(Replay::Forgotten));
    assert_eq!(served.accept(&request("up=alice", "x", NOW, 60), at(NOW), later), Ok(Remembered::Displaced));
}

#[test]
fn floors_are_bounded_and_end() {
    let mut served = Served::default();
    let callers = CALLERS + 50;
    for number in 0..CAPACITY + callers {
        let sent = request(&format!("up=u{}", number % callers), &number.to_string(), NOW + number as u64, 20_000);
        served.accept(&sent, at(NOW), Duration::ZERO).expect("it is new");
    }
    assert_eq!(served.floors.len(), CALLERS);
    let old = request(&format!("up=u{}", callers - 1), "old", NOW - 1, 60);
    assert_eq!(served.accept(&old, at(NOW), Duration::ZERO), Err(Replay::Forgotten), "by the common floor");
    let (later, elapsed) = (at(NOW + 40_000), Duration::from_secs(40_000));
    assert_eq!(served.accept(&request("up=u0", "later", NOW + 40_000, 60), later, elapsed), ROOM);
    assert_eq!(served.floor(served.hasher.hash_one("up=u0"), later, elapsed), None);
}
