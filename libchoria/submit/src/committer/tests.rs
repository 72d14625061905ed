//! Rounds, and what bounds them.

use super::*;
use std::time::SystemTime;
use submission::{Draft, Limits, MessageId, Priority, Sender, Spool};

fn message(payload: usize) -> Message {
    let draft = Draft::new("local.test", vec![b'x'; payload]);
    submission::accept(draft, Sender::user(0), "n1", MessageId::generate(), SystemTime::now()).expect("a message")
}

fn shelf(folder: &tempfile::TempDir, limits: Limits) -> Arc<Shelf> {
    Arc::new(Shelf::new(folder.path().join("spool"), limits))
}

fn stored(folder: &tempfile::TempDir) -> Vec<MessageId> {
    let spool = Spool::open(&folder.path().join("spool"), Limits::default()).expect("the spool");
    let window = spool.entries(Priority::default()).expect("a list");
    window.entries.into_iter().map(|entry| entry.message.id).collect()
}

#[tokio::test]
async fn a_crowd_shares_a_round_and_keeps_its_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let counters = Arc::new(Counters::default());
    let (committer, rounds) = committer(Arc::clone(&counters));
    let shelf = shelf(&folder, Limits::default());
    let rounds = tokio::spawn(rounds.run());
    let mut tasks = Vec::new();
    let mut wanted = Vec::new();
    for _ in 0..100 {
        let message = message(10);
        wanted.push(message.id.clone());
        let (committer, shelf) = (committer.clone(), Arc::clone(&shelf));
        tasks.push(tokio::spawn(async move { committer.store(1, message, shelf).await }));
    }
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Ok(()));
    }
    assert_eq!(stored(&folder), wanted);
    let now = counters.now();
    assert_eq!((now.accepted, now.accepted_bytes), (100, 1000));
    assert!(now.commits <= 3, "{} rounds for a hundred messages at once", now.commits);

    committer.store(1, message(10), shelf).await.expect("stored");
    assert_eq!(counters.now().commits, now.commits + 1, "one alone is a round of its own");
    drop(committer);
    rounds.await.expect("it ends with its last user");
}

#[tokio::test]
async fn each_gets_the_answer_of_its_own_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let (committer, rounds) = committer(Arc::default());
    let shelf = shelf(&folder, Limits { max_message_size: 100, ..Limits::default() });
    let rounds = tokio::spawn(rounds.run());
    let messages = [message(100), message(101), message(1)];
    let wanted = [messages[0].id.clone(), messages[2].id.clone()];
    let stores = messages.map(|message| committer.store(1, message, Arc::clone(&shelf)));
    let [first, second, third] = futures_util::future::join_all(stores).await.try_into().expect("three answers");
    assert_eq!((first, third), (Ok(()), Ok(())));
    assert!(matches!(second, Err(SubmitError::TooLarge(_))), "{second:?}");
    assert_eq!(stored(&folder), wanted);
    rounds.abort();
}

#[tokio::test]
async fn a_greedy_user_waits_for_itself_and_for_half_a_minute_at_most() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody takes what is handed in: the disk hangs.
    let (committer, rounds) = with_patience(Arc::default(), Duration::from_millis(50));
    let shelf = shelf(&folder, Limits::default());
    let megabyte = 1 << 20;
    let mut waiting = Vec::new();
    for _ in 0..7 {
        let (committer, shelf) = (committer.clone(), Arc::clone(&shelf));
        waiting.push(tokio::spawn(async move { committer.store(1, message(megabyte), shelf).await }));
    }
    tokio::task::yield_now().await;
    let eighth = committer.store(1, message(megabyte), Arc::clone(&shelf)).await;
    assert!(matches!(eighth, Err(SubmitError::Busy(_))), "{eighth:?}");
    let (other, place) = (committer.clone(), Arc::clone(&shelf));
    let other = tokio::spawn(async move { other.store(2, message(megabyte), place).await });
    // The disk is back.
    let rounds = tokio::spawn(rounds.run());
    for task in waiting {
        assert_eq!(task.await.expect("no panic"), Ok(()));
    }
    assert_eq!(other.await.expect("no panic"), Ok(()), "another user has room");
    assert_eq!(committer.store(1, message(megabyte), shelf).await, Ok(()), "room comes back");
    rounds.abort();
}

#[tokio::test]
async fn a_spool_that_was_replaced_is_opened_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (committer, rounds) = committer(Arc::default());
    let shelf = shelf(&folder, Limits::default());
    let rounds = tokio::spawn(rounds.run());
    committer.store(1, message(1), Arc::clone(&shelf)).await.expect("stored");
    std::fs::rename(folder.path().join("spool"), folder.path().join("old")).expect("moved away");
    let second = message(1);
    let id = second.id.clone();
    committer.store(1, second, Arc::clone(&shelf)).await.expect("stored");
    assert_eq!(stored(&folder), [id], "not in the directory that was moved away");

    std::fs::remove_dir_all(folder.path().join("spool")).expect("removed");
    std::fs::write(folder.path().join("spool"), "").expect("a file in its place");
    let refused = committer.store(1, message(1), Arc::clone(&shelf)).await;
    assert!(matches!(refused, Err(SubmitError::SpoolFailed(_))), "{refused:?}");
    std::fs::remove_file(folder.path().join("spool")).expect("removed");
    committer.store(1, message(1), shelf).await.expect("it serves again");
    rounds.abort();
}
