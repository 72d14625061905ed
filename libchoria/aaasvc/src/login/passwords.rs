//! Comparing passwords, at the same cost whether there is such a user or not.

use super::Refusal;
use crate::settings::User;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Compares passwords and counts it.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    comparisons: AtomicU64,
    /// Makes one name always cost the same, without anybody knowing beforehand what.
    hasher: RandomState,
}

impl Passwords {
    /// The user called `name` whose password is `password`. Every call computes exactly one bcrypt hash: for a name that
    /// nobody has, or a user without a usable hash, at the cost of one of the users.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] and [`Refusal::Password`].
    pub(super) fn compare<'u>(&self, users: &'u [User], name: &str, password: &str) -> Result<&'u User, Refusal> {
        let user = users.iter().find(|user| user.name == name);
        let usable = user.filter(|user| user.cost.is_some());
        let stand_in;
        let hash = match usable {
            Some(user) => user.hash.as_str(),
            None => {
                stand_in = stand_in_hash(self.cost_for(users, name));
                &stand_in
            }
        };
        let matches = self.matches(hash, password);
        match (user, usable) {
            (Some(user), Some(_)) if matches => Ok(user),
            (Some(_), _) => Err(Refusal::Password),
            (None, _) => Err(Refusal::Unknown),
        }
    }

    /// How many hashes were computed.
    pub(super) fn comparisons(&self) -> u64 {
        self.comparisons.load(Ordering::Relaxed)
    }

    /// The only place that computes a hash; the comparison inside takes the same time for all of them.
    fn matches(&self, hash: &str, password: &str) -> bool {
        self.comparisons.fetch_add(1, Ordering::Relaxed);
        bcrypt::verify(password, hash).unwrap_or(false)
    }

    /// The cost of one of the users, for one name always the same one's.
    fn cost_for(&self, users: &[User], name: &str) -> u32 {
        let costs: Vec<u32> = users.iter().filter_map(|user| user.cost).collect();
        let count = u64::try_from(costs.len()).unwrap_or(1).max(1);
        let chosen = usize::try_from(self.hasher.hash_one(name) % count).unwrap_or(0);
        costs.get(chosen).copied().unwrap_or(USUAL_COST)
    }
}

/// A hash of this cost that no password is known for.
fn stand_in_hash(cost: u32) -> String {
    format!("$2b${cost:02}${}", "u".repeat(53))
}

/// What bcrypt programs take by themselves.
const USUAL_COST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::document;

    fn user(name: &str, hash: &str) -> User {
        User::new(document::User { username: name.to_owned(), password: hash.to_owned(), ..Default::default() })
    }

    #[test]
    fn everybody_costs_one_hash_of_the_same_cost() {
        let passwords = Passwords::default();
        let hash = bcrypt::hash("secret", 5).expect("a hash");
        let users = [user("jo", &hash), user("broken", "secret")];
        let rows = [
            ("the right one", "jo", "secret", Ok("jo")),
            ("a wrong one", "jo", "Secret", Err("the password is wrong")),
            ("nobody's", "nobody", "secret", Err("there is no such user")),
            ("no name", "", "", Err("there is no such user")),
            ("a hash that is none", "broken", "secret", Err("the password is wrong")),
        ];
        for (number, (case, name, password, expected)) in rows.into_iter().enumerate() {
            let result = passwords.compare(&users, name, password);
            let result = result.map(|user| user.name.as_str()).map_err(|refusal| refusal.to_string());
            assert_eq!(result, expected.map_err(str::to_owned), "{case}");
            assert_eq!(passwords.comparisons(), number as u64 + 1, "{case}: not exactly one hash");
        }
        assert_eq!(passwords.cost_for(&users, "nobody"), 5, "the stand-in costs what a user costs");
        assert_eq!(passwords.cost_for(&[], "nobody"), USUAL_COST);
    }

    #[test]
    fn the_stand_in_is_a_hash_that_is_really_computed() {
        for cost in [4, 5, 6] {
            let hash = stand_in_hash(cost);
            assert_eq!(user("x", &hash).cost, Some(cost), "{hash}");
            // An error would mean that nothing was computed.
            assert!(matches!(bcrypt::verify("secret", &hash), Ok(false)), "{hash}");
        }
    }

    #[test]
    fn a_name_keeps_its_cost() {
        let passwords = Passwords::default();
        let rest = "zQIl4gUZbqmKhpQhIeWx3uDWhAZaHoG34zW1ZsxXQt5xpL5f4uyny";
        let users: Vec<User> = (4..12).map(|cost| user("u", &format!("$2a${cost:02}${rest}"))).collect();
        for name in ["a", "b", "c"] {
            assert_eq!(passwords.cost_for(&users, name), passwords.cost_for(&users, name));
        }
    }
}
