use super::*;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// A helper that is a shell script; `$1` is a folder of the test's own.
fn helper(folder: &TempDir, script: &str, limit: Duration) -> Helper {
    let path = folder.path().display().to_string();
    let command = ["/bin/sh", "-c", script, "helper", &path].map(str::to_owned).to_vec();
    Helper { command, limit, secrets: Vec::new() }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn helpers_are_judged_by_how_they_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [
        ("cat", "the input", Ok("the input")),
        ("printf answer; cat >/dev/null", "x", Ok("answer")),
        ("printf answer", "x", Ok("answer")),
        ("exec 0<&-; printf answer", "x", Ok("answer")),
        ("printf answer; exec >&- 2>&-; cat >/dev/null", "x", Ok("answer")),
        ("printf answer; exit 1", "x", Err("failed with exit status: 1")),
        ("exit 3", "x", Err("failed with exit status: 3")),
        ("kill -9 $$", "x", Err("failed with signal: 9")),
        ("cat >/dev/null", "x", Err("answered nothing")),
        ("yes", "x", Err("answered more than 1048576 bytes")),
        ("yes >&2 & printf answer; kill $!", "x", Ok("answer")),
    ];
    for (script, input, expected) in rows {
        let got = helper(&folder, script, LONG).run(input.as_bytes()).await;
        match (got, expected) {
            (Ok(output), Ok(expected)) => assert_eq!(String::from_utf8_lossy(&output), expected, "{script}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{script}: {error}"),
            (got, expected) => panic!("{script}: {got:?}, expected {expected:?}"),
        }
    }
    let nobody = Helper { command: vec!["/nonexistent/helper".to_owned()], limit: LONG, secrets: Vec::new() };
    let error = nobody.run(b"").await.expect_err("no program").to_string();
    assert!(error.contains("/nonexistent/helper cannot be started"), "{error}");
}

#[tokio::test]
async fn input_larger_than_a_pipe_arrives_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = vec![b'x'; 700_000];
    let output = helper(&folder, "cat", LONG).run(&input).await.expect("an answer");
    assert_eq!(output.len(), input.len());
}

#[tokio::test]
async fn a_helper_that_hangs_is_killed_with_everything_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = [
        "sleep 1000 & echo $! >$1/child; echo $$ >$1/pid; wait",
        "trap '' TERM INT HUP; sleep 1000 & echo $! >$1/child; echo $$ >$1/pid; while :; do sleep 1; done",
        "sleep 1000 & echo $! >$1/child; echo $$ >$1/pid; exec >&- 2>&-; wait",
    ];
    for script in scripts {
        let started = Instant::now();
        let error = helper(&folder, script, Duration::from_secs(1)).run(b"x").await.expect_err("a time limit");
        assert!(matches!(error, HelperError::TimedOut(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{script}");
        gone(&folder.path().join("child"), script).await;
        gone(&folder.path().join("pid"), script).await;
    }
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_open_does_not_hold_up_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let started = Instant::now();
    let script = "sleep 1000 & echo $! >$1/child; printf answer";
    let output = helper(&folder, script, LONG).run(b"x").await.expect("an answer");
    assert_eq!(output, b"answer");
    assert!(started.elapsed() < Duration::from_secs(20));
    gone(&folder.path().join("child"), script).await;
}

#[tokio::test]
async fn giving_up_kills_the_helper() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "sleep 1000 & echo $! >$1/child; echo $$ >$1/pid; wait";
    let helper = helper(&folder, script, LONG);
    let mut run = Box::pin(helper.run(b"x"));
    let pid = folder.path().join("pid");
    while !pid.exists() {
        assert!(timeout(Duration::from_millis(20), &mut run).await.is_err(), "the helper hangs");
    }
    drop(run);
    gone(&folder.path().join("child"), script).await;
}

/// Waits until the process whose number is in `file` is gone, or a zombie that nobody waited for yet.
async fn gone(file: &Path, script: &str) {
    let began = Instant::now();
    loop {
        let pid = std::fs::read_to_string(file).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if !pid.trim().is_empty() && (status.is_empty() || status.contains(") Z")) {
            std::fs::remove_file(file).expect("removed");
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{script}: process {pid} still runs: {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
