//! The program that a site puts in place of `choria login`.

use anyhow::Context;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The program's name.
const NAME: &str = "choria-login";

/// Runs `choria-login` if the PATH has one, with `arguments` and this process's environment and streams.
///
/// # Errors
/// When it is there and cannot be started.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Option<ExitCode>> {
    let Some(program) = find(&std::env::var_os("PATH").unwrap_or_default()) else { return Ok(None) };
    let status = Command::new(&program).args(arguments).status();
    let status = status.with_context(|| format!("{} cannot be run", program.display()))?;
    // A program that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(Some(ExitCode::from(code)))
}

/// The first executable file of that name; relative folders in a PATH are an invitation and are passed over.
fn find(path: &OsStr) -> Option<PathBuf> {
    let executable =
        |file: &PathBuf| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(NAME)).find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_in_absolute_folders_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plain, program) = (folder.path().join("plain"), folder.path().join("program"));
        for (folder, mode) in [(&plain, 0o644), (&program, 0o755)] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join(NAME), "#!/bin/sh\n").expect("a file");
            std::fs::set_permissions(folder.join(NAME), std::fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let path = std::env::join_paths([&plain, &program]).expect("a PATH");
        assert_eq!(find(&path), Some(program.join(NAME)));
        assert_eq!(find(plain.as_os_str()), None);
        assert_eq!(find(OsStr::new(".:")), None);
    }
}
