//! The users in force: those of the configuration, or those of a file, which is read again when it changed.

use crate::settings::{User, decode_users};
use agents::Stamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The users in force. With a file, the configuration's own count no more.
#[derive(Debug)]
pub(super) struct UserList {
    fixed: Arc<Vec<User>>,
    file: Option<PathBuf>,
    read: Mutex<Option<Read>>,
}

/// What a file held when it had this stamp.
#[derive(Debug)]
struct Read {
    stamp: Option<Stamp>,
    users: Result<Arc<Vec<User>>, String>,
}

impl UserList {
    pub(super) fn new(users: Vec<User>, file: Option<PathBuf>) -> Self {
        Self { fixed: Arc::new(users), file, read: Mutex::new(None) }
    }

    /// The users as they are now.
    ///
    /// # Errors
    /// The file cannot be read: nobody logs in then, since somebody may have been taken out of it.
    pub(super) fn current(&self) -> Result<Arc<Vec<User>>, String> {
        let Some(file) = &self.file else { return Ok(Arc::clone(&self.fixed)) };
        let stamp = Stamp::of(file);
        let mut read = self.lock();
        match &*read {
            Some(read) if read.stamp == stamp && stamp.is_some() => read.users.clone(),
            _ => {
                let users = decode_users(file).map(Arc::new);
                match &users {
                    Ok(users) => {
                        tracing::info!(file = %file.display(), users = users.len(), "the users were read");
                        let warnings = users.iter().flat_map(User::warnings);
                        warnings.for_each(|warning| tracing::warn!("{warning}"));
                    }
                    Err(error) => tracing::error!("nobody can log in: {error}"),
                }
                *read = Some(Read { stamp, users: users.clone() });
                users
            }
        }
    }

    /// Reads the file at the next login, whatever its times say.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_count_at_once_and_nothing_old_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.json");
        let list = UserList::new(Vec::new(), Some(path.clone()));
        let names = || list.current().map(|users| users.iter().map(|user| user.name.clone()).collect::<Vec<_>>());
        assert!(names().is_err(), "there is no file yet");
        std::fs::write(&path, r#"[{"username":"a","broker_permissions":{"org_admin":true}},{"username":"b"}]"#)
            .expect("written");
        assert_eq!(names(), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(Arc::ptr_eq(&list.current().expect("users"), &list.current().expect("users")), "read twice");
        let other = folder.path().join("new");
        std::fs::write(&other, r#"[{"username":"b"}]"#).expect("written");
        std::fs::rename(&other, &path).expect("renamed");
        assert_eq!(names(), Ok(vec!["b".to_owned()]));
        assert!(list.current().expect("users").iter().all(|user| user.permissions.is_none()), "b got what a had");
        std::fs::write(&path, "[{").expect("written");
        assert!(names().is_err());
    }
}
