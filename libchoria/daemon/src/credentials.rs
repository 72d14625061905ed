//! Credentials that the service manager placed for this unit (`LoadCredential=`, `ImportCredential=`).

use std::path::{Component, Path, PathBuf};

/// The file of credential `name` if the unit has one: `$CREDENTIALS_DIRECTORY/<name>`. A name that is not a plain file
/// name has no credential.
#[must_use]
pub fn credential(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    find(Path::new(&directory), name)
}

/// Logs which keys took a credential of the service manager because the configuration says nothing about them.
pub fn tell_of_credentials(taken: &[(&str, PathBuf)]) {
    for (key, file) in taken {
        tracing::info!(key, file = %file.display(), "{key} is not set and is the credential {}", file.display());
    }
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    let file = directory.join(name);
    (plain && file.is_file()).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_plain_names_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("token"), "x").expect("a file");
        std::fs::create_dir(directory.path().join("folder")).expect("a folder");
        let rows = [
            ("token", true),
            ("missing", false),
            ("folder", false),
            ("", false),
            (".", false),
            ("../token", false),
            ("folder/../token", false),
            ("/etc/passwd", false),
        ];
        for (name, expected) in rows {
            assert_eq!(find(directory.path(), name).is_some(), expected, "{name:?}");
        }
    }
}
