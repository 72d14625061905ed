//! What happens to a broker while it runs: certificates and programs are replaced, disks fill up. It stays up, says what
//! is wrong, and is well again when the cause is gone.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test uses a part of the lab")]
mod lab;

use bytes::Bytes;
use lab::member::{Member, ask, kill, store, until_answered};
use lab::{Lab, until};
use network::Connection;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_refused_and_the_old_one_stays_even_through_a_restart() {
    let lab = Lab::new();
    let files = [lab.path("site.pem"), lab.path("site.key")];
    let first = certificate([-1, 30]);
    replace(&files, &first);
    let changes = [
        ("plugin.security.choria.certificate", files[0].display().to_string()),
        ("plugin.security.choria.key", files[1].display().to_string()),
    ];
    let broker = Member::start(&lab, "b1", &changes).await;
    let client = broker.admin(&lab).await;
    let metrics = &broker.served.metrics;
    let other = certificate([-1, 30]);
    let rows = [
        ("expired", certificate([-30, -1])),
        ("key of another", (first.0.clone(), other.1.clone())),
        ("not yet valid", certificate([1, 30])),
        ("no certificate", ("nothing".to_owned(), other.1.clone())),
    ];
    for (name, pair) in rows {
        let before = metrics.snapshot().certificates_refused;
        replace(&files, &pair);
        until(name, async || metrics.snapshot().certificates_refused > before).await;
        until(name, async || broker.status().contains("the new certificate is refused")).await;
        assert_eq!(client.status().reconnects, 0, "{name}: nobody is disturbed");
    }
    kill(broker.nats_server());
    until("the old certificate serves again", async || client.status().reconnects == 1).await;
    // Clients are back a moment before the broker has looked at everything and says that it serves.
    until("the status still says so", async || broker.status().contains("the new certificate is refused")).await;
    replace(&files, &other);
    until("the good one is taken", async || metrics.snapshot().certificate_reloads == 1).await;
    until("everybody reconnects", async || client.status().reconnects == 2).await;
    until("the status is clean", async || !broker.status().contains("certificate")).await;
    broker.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_nats_server_is_noticed_and_used_from_the_next_start_on() {
    let lab = Lab::new();
    let program = lab.path("nats-server");
    std::fs::copy(lab::nats_server(), &program).unwrap();
    let broker = Member::start_with(&lab, "b1", &[], program.clone()).await;
    let before = broker.status();
    let newer = newer_nats_server(&lab);
    std::fs::rename(&newer.0, &program).unwrap();
    let installed = format!("nats-server {} is installed and used after a restart", newer.1);
    until("it is noticed", async || broker.status().contains(&installed)).await;
    assert!(broker.status().starts_with(&before[..20]), "the old one runs on: {}", broker.status());
    kill(broker.nats_server());
    let serves = format!("nats-server {} serves", newer.1);
    until("it is used", async || broker.status().starts_with(&serves)).await;
    assert!(!broker.status().contains("is installed"), "{}", broker.status());
    ask(&broker.admin(&lab).await, "$JS.API.STREAM.INFO.CHORIA_EVENTS").await;
    broker.served.end().await;
}

/// nats-server gives its streams up when the disk is full. Members of the fleet do not notice, and once there is room
/// everything is stored again, with nothing lost that was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_streams_and_nothing_else() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(&lab.path("disk")) else { return };
    let changes = [("plugin.choria.network.stream.store", disk.0.join("streams").display().to_string())];
    let broker = Member::start(&lab, "b1", &changes).await;
    let metrics = &broker.served.metrics;
    let node = broker.connect(&lab, lab.server("n1").login()).await;
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    let client = broker.admin(&lab).await;
    let mut acknowledged = Vec::new();
    store(&client, &mut acknowledged, 5).await;

    disk.fill();
    until("the streams are given up", async || {
        let large = Bytes::from(vec![b'x'; 64 * 1024]);
        client.publish("choria.lifecycle.event.large", large).await.unwrap();
        metrics.snapshot().streams_off == 1
    })
    .await;
    until("the status says so", async || broker.status().contains("NOTHING IS STORED")).await;
    assert!(broker.served.running.status().borrow().serving);
    passes(&client, &mut inbox).await;
    assert_eq!((client.status().reconnects, node.status().reconnects), (0, 0), "nobody is disconnected");

    disk.empty();
    until("the streams are back", async || metrics.snapshot().streams_off == 0).await;
    until("the status is clean", async || !broker.status().contains("STORED") && broker.status().contains("serves"))
        .await;
    store(&client, &mut acknowledged, 10).await;
    for (sequence, _) in &acknowledged {
        let question = format!("{{\"seq\":{sequence}}}");
        let found = until_answered(&client, "$JS.API.STREAM.MSG.GET.CHORIA_EVENTS", question).await;
        assert!(found["message"]["data"].is_string(), "message {sequence} is lost: {found}");
    }
    assert_eq!((metrics.snapshot().streams_given_up, metrics.snapshot().restarts), (1, 0));
    broker.served.end().await;
}

async fn passes(client: &Connection, inbox: &mut network::Subscription) {
    until("messages pass", async || {
        client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), inbox.recv()).await.is_ok()
    })
    .await;
}

/// Certificate and key, valid between two days from now.
fn certificate(days: [i64; 2]) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["b1.example.net".to_owned()]).unwrap();
    let now = time::OffsetDateTime::now_utc();
    parameters.not_before = now + time::Duration::days(days[0]);
    parameters.not_after = now + time::Duration::days(days[1]);
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Both files at once, as far as anybody who looks at them can tell: the key first, and each by renaming.
fn replace(files: &[PathBuf; 2], pair: &(String, String)) {
    for (file, text) in [(&files[1], &pair.1), (&files[0], &pair.0)] {
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, file).unwrap();
    }
}

/// A nats-server of another version and that version: the newest one where `CHORIA_NATS_SERVER_NEWEST` names it, else
/// the same one under a false name.
fn newer_nats_server(lab: &Lab) -> (PathBuf, String) {
    let copy = lab.path("newer");
    if let Some(newest) = std::env::var_os("CHORIA_NATS_SERVER_NEWEST") {
        std::fs::copy(&newest, &copy).unwrap();
        let told = Command::new(&copy).arg("--version").output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        return (copy, told.trim().trim_start_matches("nats-server: v").to_owned());
    }
    let real = PathBuf::from(lab::nats_server()).canonicalize().unwrap();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'nats-server: v2.99.0' || exec '{}' \"$@\"\n",
        real.display()
    );
    std::fs::write(&copy, text).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    (copy, "2.99.0".to_owned())
}

/// A file system of its own that holds 32 MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said loudly, where this user may not mount anything.
    fn mount(place: &Path) -> Option<Self> {
        std::fs::create_dir(place).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=32m,mode=0755", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(place).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(place.to_owned()));
        }
        eprintln!("NOT TESTED: a full disk. Only root can mount a small one; run this test as root");
        None
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let block = vec![0; 64 * 1024];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_with_the_machine = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
