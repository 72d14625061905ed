use super::*;
use Ended::{Abandoned, Deferred, Failed, Finished, Upgraded};
use Offer::{Full, Known, Later, Queued};
use Source::{Discovery, Event};

fn name(text: &str) -> Identity {
    text.parse().expect("an identity")
}

/// One thing that happens to the node `a`, some seconds after the start, and what comes of it.
enum Happens {
    Offered(Source, Offer),
    Taken,
    Nothing,
    Stale,
    Ends(Ended),
}

#[test]
fn a_node_is_worked_on_when_it_asks_and_at_no_other_time() {
    use Happens::{Ends, Nothing, Offered, Stale, Taken};
    let rows: &[(&str, &[(u64, Happens)])] = &[
        (
            "a new node is queued once",
            &[
                (0, Offered(Event, Queued)),
                (0, Offered(Discovery, Known)),
                (1, Offered(Event, Known)),
                (2, Taken),
                (2, Nothing),
                (3, Offered(Discovery, Known)),
            ],
        ),
        (
            "a provisioned node is held against duplicates and then forgotten",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Finished)),
                (1, Offered(Event, Known)),
                (2, Offered(Discovery, Known)),
                (60, Offered(Discovery, Known)),
                (60, Nothing),
                (61, Offered(Discovery, Queued)),
                (61, Taken),
            ],
        ),
        (
            "a provisioned node that announces itself again is queued again, then less and less often",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Finished)),
                (4, Offered(Event, Queued)),
                (4, Taken),
                (5, Ends(Finished)),
                (8, Offered(Event, Later)),
                (12, Nothing),
                (13, Taken),
                (14, Ends(Finished)),
                (17, Offered(Event, Later)),
                (26, Nothing),
                (27, Taken),
            ],
        ),
        (
            "a failed node is left alone, and queued afterwards if it asked",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Failed)),
                (2, Offered(Event, Later)),
                (5, Nothing),
                (6, Taken),
                (7, Ends(Failed)),
                (8, Offered(Discovery, Later)),
                (16, Nothing),
                (17, Taken),
                (18, Ends(Failed)),
                (38, Nothing),
                (39, Offered(Discovery, Queued)),
                (39, Taken),
                (40, Ends(Failed)),
                (41, Offered(Discovery, Later)),
                (79, Nothing),
                (80, Taken),
            ],
        ),
        (
            "a failed node that does not ask is not tried",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Failed)),
                (400, Nothing),
                (401, Offered(Discovery, Queued)),
            ],
        ),
        (
            "failures are forgotten",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Failed)),
                (6, Offered(Event, Queued)),
                (6, Taken),
                (7, Ends(Failed)),
                (700, Offered(Event, Queued)),
                (700, Taken),
                (701, Ends(Failed)),
                (702, Offered(Event, Later)),
                (706, Taken),
            ],
        ),
        (
            "a node that restarts while it is worked on is tried again after the failure that this causes",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (3, Offered(Event, Known)),
                (9, Ends(Failed)),
                (13, Nothing),
                (14, Taken),
            ],
        ),
        (
            "a deferred node is asked about again later",
            &[
                (0, Offered(Event, Queued)),
                (0, Taken),
                (1, Ends(Deferred)),
                (2, Offered(Event, Later)),
                (10, Nothing),
                (11, Taken),
                (12, Ends(Deferred)),
                (60, Offered(Discovery, Queued)),
            ],
        ),
        (
            "an upgraded node comes back soon and is welcome",
            &[(0, Offered(Event, Queued)), (0, Taken), (1, Ends(Upgraded)), (2, Offered(Event, Queued))],
        ),
        (
            "what was given up may be taken up at once",
            &[(0, Offered(Event, Queued)), (0, Taken), (1, Ends(Abandoned)), (1, Offered(Discovery, Queued))],
        ),
        (
            "who waits for too long is dropped and may come again",
            &[
                (0, Offered(Event, Queued)),
                (121, Stale),
                (121, Nothing),
                (121, Offered(Discovery, Queued)),
                (241, Taken),
            ],
        ),
    ];
    for (title, happenings) in rows {
        let start = Instant::now();
        let mut queue = Queue::new(Duration::from_secs(120));
        let a = name("a");
        for (second, happens) in *happenings {
            let now = start + Duration::from_secs(*second);
            match happens {
                Offered(source, expected) => assert_eq!(queue.offer(&a, *source, now), *expected, "{title}, {second}"),
                Taken => {
                    let taken = queue.take(now);
                    assert!(matches!(&taken, Some(Next::Node(node, _)) if *node == a), "{title}, {second}: {taken:?}");
                }
                Nothing => assert_eq!(queue.take(now), None, "{title}, {second}"),
                Stale => assert!(matches!(queue.take(now), Some(Next::Stale(..))), "{title}, {second}"),
                Ends(ended) => queue.finish(&a, *ended, now),
            }
        }
    }
}

#[test]
fn pauses_are_bounded() {
    let seconds: Vec<u64> = (0..9).map(|failures| pause(failures).as_secs()).collect();
    assert_eq!(seconds, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
}

#[test]
fn nodes_are_taken_in_the_order_they_came() {
    let now = Instant::now();
    let mut queue = Queue::new(Duration::from_secs(120));
    for node in ["c", "a", "b"] {
        queue.offer(&name(node), Event, now);
    }
    let taken: Vec<Option<Next>> = (0..4).map(|_| queue.take(now)).collect();
    let node = |text| Some(Next::Node(name(text), Duration::ZERO));
    assert_eq!(taken, [node("c"), node("a"), node("b"), None]);
    assert_eq!((queue.waiting(), queue.known()), (0, 3));
}

#[test]
fn a_full_work_set_refuses_newcomers_until_there_is_room() {
    let now = Instant::now();
    let mut queue = Queue { capacity: 2, ..Queue::new(Duration::from_secs(120)) };
    let offers: Vec<Offer> = ["a", "b", "c", "a"].map(|node| queue.offer(&name(node), Event, now)).to_vec();
    assert_eq!(offers, [Queued, Queued, Full, Known]);
    assert!(queue.take(now).is_some());
    assert_eq!(queue.offer(&name("c"), Event, now), Full, "who is being provisioned still counts");
    queue.finish(&name("a"), Upgraded, now);
    assert_eq!(queue.offer(&name("c"), Event, now), Queued);
}

#[test]
fn what_is_reported_of_nodes_that_are_not_worked_on_changes_nothing() {
    let now = Instant::now();
    let mut queue = Queue::new(Duration::from_secs(120));
    queue.offer(&name("a"), Event, now);
    queue.finish(&name("a"), Finished, now);
    queue.finish(&name("b"), Failed, now);
    assert_eq!((queue.waiting(), queue.known()), (1, 1));
    assert!(queue.take(now).is_some());
    queue.clear();
    queue.finish(&name("a"), Failed, now);
    assert_eq!((queue.waiting(), queue.known(), queue.next_tick()), (0, 0, None));
}

#[test]
fn time_alone_queues_those_who_asked() {
    let now = Instant::now();
    let mut queue = Queue::new(Duration::from_secs(120));
    queue.offer(&name("a"), Event, now);
    queue.take(now);
    queue.finish(&name("a"), Failed, now);
    queue.offer(&name("a"), Event, now);
    let due = queue.next_tick().expect("a pause ends");
    assert_eq!(due, now + FIRST_PAUSE);
    assert!(!queue.tick(due - Duration::from_millis(1)));
    assert!(queue.tick(due));
    assert_eq!(queue.waiting(), 1);
}
