//! Every operation fails once, and the machine stops before every operation: nothing is ever half done.

use super::*;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Fails at one operation; a dead one fails at all that follow.
struct Faulty {
    left: Cell<usize>,
    dead: bool,
}

impl Faulty {
    fn step(&self) -> io::Result<()> {
        match self.left.get() {
            0 => return Err(ErrorKind::StorageFull.into()),
            1 if self.dead => self.left.set(0),
            1 => {
                self.left.set(usize::MAX);
                return Err(ErrorKind::StorageFull.into());
            }
            usize::MAX => {}
            left => self.left.set(left - 1),
        }
        Ok(())
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        if self.step().is_err() {
            // A full disk takes the beginning.
            SystemDisk.create(path, &bytes[..bytes.len() / 2], mode)?;
            return Err(ErrorKind::StorageFull.into());
        }
        SystemDisk.create(path, bytes, mode)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.make_directory(path))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.remove(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.remove_directory(path))
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.sync(directory))
    }
}

fn before(folder: &Path) {
    fs::create_dir(folder.join("policies")).expect("made");
    for (name, text) in [("server.conf", "old"), ("server.seed", "old"), ("policies/gone.policy", "old")] {
        fs::write(folder.join(name), text).expect("written");
    }
}

fn changes(folder: &Path) -> Vec<Change> {
    let write = |name: &str, mode| Change {
        target: folder.join(name),
        content: Content::Write { bytes: Zeroizing::new(b"new content".to_vec()), mode },
    };
    vec![
        write("server.seed", 0o600),
        write("server.jwt", 0o600),
        write("ssl/ca.pem", 0o644),
        Change { target: folder.join("policies/gone.policy"), content: Content::Remove },
        write("policies/rego/main.rego", 0o400),
        write("server.conf", 0o600),
    ]
}

/// Every file with its text.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let name = path.strip_prefix(folder).expect("inside").display().to_string();
                    all.insert(name, fs::read_to_string(&path).expect("text"));
                }
            }
        }
    }
    all
}

fn wanted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn old() -> BTreeMap<String, String> {
    wanted(&[("server.conf", "old"), ("server.seed", "old"), ("policies/gone.policy", "old")])
}

fn new() -> BTreeMap<String, String> {
    let names = ["server.conf", "server.seed", "server.jwt", "ssl/ca.pem", "policies/rego/main.rego"];
    wanted(&names.map(|name| (name, "new content")))
}

#[test]
fn all_files_are_replaced_with_their_modes() {
    let folder = tempfile::tempdir().expect("a folder");
    before(folder.path());
    commit(&SystemDisk, folder.path(), &changes(folder.path())).expect("committed");
    assert_eq!(contents(folder.path()), new());
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("there").permissions().mode() & 0o777;
    let names = ["server.seed", "ssl/ca.pem", "policies/rego/main.rego", "policies/rego", "ssl"];
    assert_eq!(names.map(mode), [0o600, 0o644, 0o400, 0o700, 0o700]);
    assert!(!recover(&SystemDisk, folder.path()).expect("nothing to do"));
}

#[test]
fn whatever_fails_once_all_or_nothing_is_changed() {
    let mut outcomes = [0, 0];
    for step in 1.. {
        let folder = tempfile::tempdir().expect("a folder");
        before(folder.path());
        let disk = Faulty { left: Cell::new(step), dead: false };
        let result = commit(&disk, folder.path(), &changes(folder.path()));
        if disk.left.get() != usize::MAX {
            assert!(result.is_ok() && step > 20, "{step} operations");
            break;
        }
        let names: Vec<String> = contents(folder.path()).into_keys().collect();
        recover(&SystemDisk, folder.path()).expect("recovered");
        let after = contents(folder.path());
        match result {
            Ok(()) => assert_eq!(after, new(), "operation {step}: {names:?}"),
            Err(error) => assert_eq!(after, old(), "operation {step}: {error}: {names:?}"),
        }
        outcomes[usize::from(after == new())] += 1;
    }
    assert!(outcomes[0] > 15, "{outcomes:?}: most failures change nothing");
}

#[test]
fn wherever_the_machine_stops_all_or_nothing_is_changed() {
    let mut outcomes = [0, 0];
    for step in 1.. {
        let folder = tempfile::tempdir().expect("a folder");
        before(folder.path());
        let disk = Faulty { left: Cell::new(step), dead: true };
        // What it answers is heard by nobody.
        drop(commit(&disk, folder.path(), &changes(folder.path())));
        let stopped = disk.left.get() == 0;
        recover(&SystemDisk, folder.path()).expect("recovered");
        let after = contents(folder.path());
        assert!(after == old() || after == new(), "operation {step}: {after:?}");
        outcomes[usize::from(after == new())] += 1;
        if !stopped {
            break;
        }
    }
    assert!(outcomes[0] > 10 && outcomes[1] > 5, "{outcomes:?}: both happen");
}

#[test]
fn a_recovery_that_is_interrupted_is_completed_by_the_next() {
    // From the last steps before the changes count to the last after.
    for step in (20..50).step_by(2) {
        for recovery in 1..12 {
            let folder = tempfile::tempdir().expect("a folder");
            before(folder.path());
            drop(commit(&Faulty { left: Cell::new(step), dead: true }, folder.path(), &changes(folder.path())));
            drop(recover(&Faulty { left: Cell::new(recovery), dead: true }, folder.path()));
            recover(&SystemDisk, folder.path()).expect("recovered");
            let after = contents(folder.path());
            assert!(after == old() || after == new(), "operations {step} and {recovery}: {after:?}");
        }
    }
}
