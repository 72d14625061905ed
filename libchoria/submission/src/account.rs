//! The user and groups behind a number, asked of the system: the one place that does, for rules that have names in
//! them.

use crate::rules::{Caller, Group};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;

/// Most groups of a user that are looked at.
const MOST_GROUPS: usize = 1024;

/// A user with name and groups, to be asked for as a [`Caller`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    uid: u32,
    user: Option<String>,
    groups: Vec<Group>,
}

impl Account {
    /// The user with this number and nothing else; enough where no rule needs names.
    #[must_use]
    pub fn nameless(uid: u32) -> Self {
        Self { uid, user: None, groups: Vec::new() }
    }

    /// Looks the user up in the system's databases. This can wait for a directory service: not for a thread that must
    /// not block. What cannot be found is left out, so that rules with names do not fit.
    #[must_use]
    pub fn look_up(uid: u32, gid: u32) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let mut gids = vec![Gid::from_raw(gid)];
        if let Some(user) = &user {
            let name = CString::new(user.name.as_str());
            gids.extend(name.ok().and_then(|name| getgrouplist(&name, user.gid).ok()).unwrap_or_default());
        }
        gids.sort_unstable_by_key(|gid| gid.as_raw());
        gids.dedup();
        gids.truncate(MOST_GROUPS);
        let name = |gid| nix::unistd::Group::from_gid(gid).ok().flatten().map(|group| group.name);
        let groups = gids.into_iter().map(|gid| Group { gid: gid.as_raw(), name: name(gid) }).collect();
        Self { uid, user: user.map(|user| user.name), groups }
    }

    /// The user as rules see it.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller { uid: self.uid, user: self.user.as_deref(), groups: &self.groups }
    }
}
