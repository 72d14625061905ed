//! The users that may log in, from the list in the configuration or from a file of their own (spec 07 §4.3).

use super::document;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tokens::ClientPermissions;
use zeroize::Zeroizing;

/// A user, ready to be compared with a login.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    /// The bcrypt hash; wiped when dropped.
    pub(crate) hash: Zeroizing<String>,
    /// Its cost; `None` when the hash is none and nobody can log in with it.
    pub(crate) cost: Option<u32>,
    pub(crate) organization: String,
    pub(crate) acls: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) permissions: Option<ClientPermissions>,
    unknown_permissions: Vec<String>,
}

/// Where a user's policy comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    None,
    Text(String),
    /// Read at each login.
    File(PathBuf),
}

impl User {
    pub(crate) fn new(user: document::User) -> Self {
        let (permissions, unknown_permissions) = permissions(&user.username, &user.broker_permissions);
        let policy = match (user.opa_policy, user.opa_policy_file) {
            (text, _) if !text.is_empty() => Policy::Text(text),
            (_, file) if !file.as_os_str().is_empty() => Policy::File(file),
            _ => Policy::None,
        };
        let hash = Zeroizing::new(user.password);
        Self {
            cost: cost(&hash),
            hash,
            name: user.username,
            organization: user.organization,
            acls: user.acls,
            policy,
            properties: user.properties,
            permissions,
            unknown_permissions,
        }
    }

    /// What keeps this user from logging in, or is not as meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.unknown_permissions.clone();
        match self.cost {
            None => warnings.push(format!(
                "user {:?} cannot log in: the password is no bcrypt hash; make one with choria-aaasvc crypt",
                self.name
            )),
            Some(cost) if cost > HIGHEST_SENSIBLE_COST => warnings.push(format!(
                "user {:?} logs in slowly: bcrypt cost {cost} takes many seconds of a processor each time",
                self.name
            )),
            Some(_) => {}
        }
        warnings
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads a users file: a JSON array. Every read makes all users anew, so nothing of an earlier content stays.
///
/// # Errors
/// What is wrong with it, with its name.
pub(crate) fn decode_users(path: &Path) -> Result<Vec<User>, String> {
    let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(|error| named(&error))?.len();
    if size > LARGEST_USERS_FILE {
        return Err(named(&format!("{size} bytes are too much, a users file has at most {LARGEST_USERS_FILE}")));
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(|error| named(&error))?);
    let users: Option<Vec<document::User>> = serde_json::from_slice(&text).map_err(|error| named(&error))?;
    Ok(users.unwrap_or_default().into_iter().map(User::new).collect())
}

/// The permissions of `names`, and a warning for each name that is none.
pub(crate) fn permissions(owner: &str, names: &BTreeMap<String, bool>) -> (Option<ClientPermissions>, Vec<String>) {
    let mut all = ClientPermissions::default();
    let mut warnings = Vec::new();
    for (name, granted) in names {
        let flag = match name.as_str() {
            "streams_admin" => &mut all.streams_admin,
            "streams_user" => &mut all.streams_user,
            "events_viewer" => &mut all.events_viewer,
            "election_user" => &mut all.election_user,
            "system_user" => &mut all.system_user,
            "governor" => &mut all.governor,
            "org_admin" => &mut all.org_admin,
            "fleet_management" => &mut all.fleet_management,
            "signed_fleet_management" => &mut all.signed_fleet_management,
            "service" => &mut all.extended_service_lifetime,
            "authentication_delegator" => &mut all.authentication_delegator,
            "provisioner" => &mut all.server_provisioner,
            _ => {
                warnings.push(format!("{owner:?}: broker_permissions.{name} is not known and grants nothing"));
                continue;
            }
        };
        *flag = *granted;
    }
    ((!names.is_empty()).then_some(all), warnings)
}

/// The cost of a bcrypt hash such as `$2a$05$…`; `None` when it is none.
fn cost(hash: &str) -> Option<u32> {
    let parts: Vec<&str> = hash.split('$').collect();
    let ["", "2a" | "2b" | "2y", cost, rest] = parts.as_slice() else { return None };
    let alphabet = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let cost = cost.parse().ok().filter(|cost| (4..=31).contains(cost))?;
    (rest.len() == 53 && rest.chars().all(alphabet)).then_some(cost)
}

/// Enough for a hundred thousand users.
const LARGEST_USERS_FILE: u64 = 64 * 1024 * 1024;

/// About four seconds of a processor.
const HIGHEST_SENSIBLE_COST: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_every_kind_are_known() {
        let rest = "zQIl4gUZbqmKhpQhIeWx3uDWhAZaHoG34zW1ZsxXQt5xpL5f4uyny";
        let rows = [
            (format!("$2a$05${rest}"), Some(5)),
            (format!("$2b$10${rest}"), Some(10)),
            (format!("$2y$04${rest}"), Some(4)),
            (format!("$2a$03${rest}"), None),
            (format!("$2a$32${rest}"), None),
            (format!("$1$05${rest}"), None),
            (format!("$2a$05${}", &rest[1..]), None),
            (format!("$2a$05${}!", &rest[1..]), None),
            ("secret".to_owned(), None),
            (String::new(), None),
        ];
        for (hash, expected) in rows {
            assert_eq!(cost(&hash), expected, "{hash}");
        }
    }

    #[test]
    fn a_users_file_is_decoded_afresh() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.json");
        let rows = [
            (r#"[{"username":"a","acls":["*"],"broker_permissions":{"org_admin":true}}]"#, Some((1, true))),
            (r#"[{"username":"a"}]"#, Some((1, false))),
            ("[]", Some((0, false))),
            ("null", Some((0, false))),
            (r#"{"username":"a"}"#, None),
            (r#"[{"username":1}]"#, None),
            ("", None),
        ];
        for (text, expected) in rows {
            std::fs::write(&path, text).expect("written");
            let users = decode_users(&path).ok();
            let found = users.map(|users| (users.len(), users.iter().any(|user| user.permissions.is_some())));
            assert_eq!(found, expected, "{text}");
        }
        assert!(decode_users(&folder.path().join("none")).is_err());
    }
}
