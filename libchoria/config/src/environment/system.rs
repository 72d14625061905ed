//! The real surroundings of a process.

use super::Environment;
use super::host_name::canonical_name;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The variables, host name and files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// `HOME`, else the user database: system services have no `HOME`.
    fn home(&self) -> Option<PathBuf> {
        let of_user = || nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir);
        self.variable("HOME").map(PathBuf::from).or_else(of_user)
    }

    fn working_directory(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    fn host_name(&self) -> Option<String> {
        nix::unistd::gethostname().ok()?.into_string().ok()
    }

    /// Asks `/etc/hosts` first and runs `getent`, which also asks DNS, only for names that are not in it.
    fn reverse_name(&self, host_name: &str) -> Option<String> {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        if let Some(name) = canonical_name(&hosts, host_name) {
            return Some(name);
        }
        let addresses = (host_name, 0).to_socket_addrs().ok()?;
        let address = addresses.map(|address| address.ip()).find(IpAddr::is_ipv4)?.to_string();
        let answer = output("getent", &["hosts", &address])?;
        answer.split_whitespace().nth(1).map(str::to_owned)
    }

    /// Runs the facter of Puppet's packages, else the one on the path.
    fn fact(&self, name: &str) -> Option<String> {
        let packaged = "/opt/puppetlabs/bin/facter";
        let program = if Path::new(packaged).exists() { packaged } else { "facter" };
        output(program, &[name]).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list_directory(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    /// Under `sudo` the files of the user who called it are trusted as well.
    fn trusts(&self, path: &Path) -> bool {
        let Ok(file) = std::fs::metadata(path) else { return false };
        let caller = self.variable("SUDO_UID").and_then(|uid| uid.parse().ok());
        let owners = [Some(0), Some(nix::unistd::geteuid().as_raw()), caller];
        let others_may_write = file.mode() & 0o002 != 0;
        owners.contains(&Some(file.uid())) && !others_may_write
    }
}

/// What `program` prints when it succeeds within [`PATIENCE`]; it is killed after that.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let deadline = Instant::now() + PATIENCE;
    // Both programs print less than a pipe holds, so that waiting before reading cannot block them.
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            // It may end by itself just now; either way it is gone after `wait`.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Facter collects facts for seconds on slow machines; DNS gives up after about as long.
const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_run_and_failures_are_no_answer() {
        assert_eq!(output("echo", &["n1"]).as_deref(), Some("n1\n"));
        assert_eq!(output("false", &[]), None);
        assert_eq!(output("/does/not/exist", &[]), None);
    }

    #[test]
    fn this_process_has_a_name_a_home_and_files() {
        assert!(SystemEnvironment.host_name().is_some_and(|name| !name.is_empty()));
        assert!(SystemEnvironment.home().is_some());
        assert!(SystemEnvironment.is_file(Path::new("/proc/self/exe")));
    }

    #[test]
    fn a_file_that_others_may_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("choria-config-trust-{}", std::process::id()));
        std::fs::write(&path, "").expect("a file of our own");
        for (mode, trusted) in [(0o644, true), (0o600, true), (0o666, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our own file");
            assert_eq!(SystemEnvironment.trusts(&path), trusted, "{mode:o}");
        }
        std::fs::remove_file(&path).expect("our own file");
        assert!(!SystemEnvironment.trusts(&path), "a missing file");
    }
}
