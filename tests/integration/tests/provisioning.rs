//! Nodes that provision themselves while something goes wrong: in the end each is in the fleet, and none was lost or
//! left half-made.

use choria_tests::{Demonstration, PATIENCE, PROVISION_TOKEN, skipped};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NODE: &str = "s1.lab.example.net";

/// Holds the helper until the test takes the file `hold` away; tells by the file `asked` that it was started.
const HOLD: &str = "touch \"$directory.asked\"\nwhile [ -e \"$directory.hold\" ]; do sleep 0.05; done";

fn until(what: &str, mut check: impl FnMut() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come true within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A network whose helper waits for the test.
fn held() -> Demonstration {
    let demo = Demonstration::new();
    demo.helper("helper", HOLD);
    demo.lab.write(&format!("{NODE}.hold"), "");
    demo
}

fn asked(demo: &Demonstration) -> bool {
    demo.lab.path(&format!("{NODE}.asked")).exists()
}

fn release(demo: &Demonstration) {
    std::fs::remove_file(demo.lab.path(&format!("{NODE}.hold"))).expect("the file that holds the helper");
}

#[test]
fn a_node_that_reboots_between_jwt_and_configure_is_provisioned_in_the_end() {
    let demo = held();
    let _broker = demo.lab.start_broker();
    let _aaa = demo.start_aaa();
    let server = demo.start_server(NODE);
    let _provisioner = demo.start_provisioner();
    until("the helper was asked", || asked(&demo));
    server.signal(Signal::SIGKILL);
    drop(server);
    assert!(!demo.of(NODE, "server.conf").exists(), "nothing was configured yet");
    let _server = demo.restart_server(NODE);
    release(&demo);
    demo.login("choria");
    demo.wait_for_fleet_within("choria", 1, Duration::from_secs(120));
}

#[test]
fn a_provisioner_that_is_killed_in_the_middle_of_a_node_goes_on_with_it() {
    let demo = held();
    let _broker = demo.lab.start_broker();
    let _aaa = demo.start_aaa();
    let _server = demo.start_server(NODE);
    let provisioner = demo.start_provisioner();
    until("the helper was asked", || asked(&demo));
    provisioner.signal(Signal::SIGKILL);
    drop(provisioner);
    release(&demo);
    let _provisioner = demo.start_provisioner();
    demo.login("choria");
    // The killed one's lock on the node lasts two minutes at most (spec 06 §3), though the same caller renews it.
    demo.wait_for_fleet_within("choria", 1, Duration::from_secs(150));
}

#[test]
fn a_full_disk_leaves_the_node_as_it_was_and_is_no_obstacle_afterwards() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("a full disk while configuring", "needs root, who may mount a small file system");
    }
    let demo = held();
    let folder = demo.lab.path(NODE);
    std::fs::create_dir_all(&folder).expect("a folder for the server");
    let disk = Disk::mount(&folder);
    let _broker = demo.lab.start_broker();
    let _aaa = demo.start_aaa();
    let _server = demo.start_server(NODE);
    let provisioner = demo.start_provisioner();
    until("the helper was asked", || asked(&demo));
    disk.fill();
    let before = names(&folder);
    release(&demo);
    until("the provisioner was told", || provisioner.log().contains("configure"));
    let during = names(&folder);
    assert!(!during.iter().any(|name| name == "server.conf" || name == "server.jwt"), "{before:?} became {during:?}");
    disk.free();
    demo.login("choria");
    demo.wait_for_fleet_within("choria", 1, Duration::from_secs(180));
}

#[test]
fn a_provisioned_node_whose_token_breaks_keeps_its_credentials_until_it_has_new_ones() {
    let demo = Demonstration::new();
    let _broker = demo.lab.start_broker();
    let _aaa = demo.start_aaa();
    let server = demo.start_server(NODE);
    let provisioner = demo.start_provisioner();
    demo.login("choria");
    demo.wait_for_fleet("choria", 1);
    let _ended = provisioner.stop();
    let _ended = server.stop();

    let seed = demo.of(NODE, "server.seed");
    let token = demo.of(NODE, "server.jwt");
    let (old_seed, old_token) = (read(&seed), read(&token));
    std::fs::write(&token, "broken").expect("a broken token");
    let provisioning = demo.of(NODE, "provisioning.jwt");
    let good = read(&provisioning);
    std::fs::write(&provisioning, "broken as well").expect("a broken provisioning token");
    // What it does with two broken files is its own business, as long as it loses nothing.
    let config = format!("{NODE}/server.conf");
    let mut server = demo.lab.start("choria-server", &["--config", &config, "--identity", NODE]);
    until("the server ended or said what is wrong", || !server.is_running() || server.log().contains("provisioning"));
    drop(server);
    assert_eq!((read(&seed), read(&token)), (old_seed.clone(), "broken".to_owned()));

    std::fs::write(&provisioning, good).expect("the provisioning token");
    let _server = demo.restart_server(NODE);
    let _provisioner = demo.start_provisioner();
    demo.wait_for_fleet_within("choria", 1, Duration::from_secs(120));
    assert_ne!(read(&seed), old_seed);
    assert_ne!(read(&token), old_token);
}

#[test]
fn others_may_not_call_the_provisioning_agent() {
    let demo = Demonstration::new();
    let _broker = demo.lab.start_broker();
    let _aaa = demo.start_aaa();
    let _server = demo.start_server(NODE);
    demo.login("admin");
    // The node waits in an account of its own: a client of the fleet does not even see it.
    let token = format!("token={PROVISION_TOKEN}");
    let output = demo.choria("admin", &["req", "choria_provision", "jwt", &token, "-I", NODE]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(!output.stdout.contains("ecdh"), "{output:?}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the node's folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A file system of half a megabyte.
struct Disk<'p>(&'p Path);

impl<'p> Disk<'p> {
    fn mount(path: &'p Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=512k", "choria-test"], path);
        Self(path)
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut size = 512 * 1024;
        let mut number = 0;
        while size > 0 {
            let file = self.0.join(format!("filler{number}"));
            match std::fs::write(&file, vec![0; size]) {
                Ok(()) => number += 1,
                Err(_full) => {
                    let _partial = std::fs::remove_file(&file);
                    size /= 2;
                }
            }
        }
    }

    fn free(&self) {
        for name in names(self.0).iter().filter(|name| name.starts_with("filler")) {
            std::fs::remove_file(self.0.join(name)).expect("a filler can be removed");
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) {
    let status = Command::new(program).args(arguments).arg(last).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?} {} failed", last.display());
}
