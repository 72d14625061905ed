//! Who may submit what: the setting `plugin.choria.submission.allow`.

use crate::draft::Refusal;
use std::fmt;

/// The rule that holds when nothing is configured: every local user, below `local.`.
pub const DEFAULT_RULES: &str = "* local.>";

/// Who may submit to which subjects. Root and the owner of the spool may always: they can write the files anyway.
/// Everybody else needs a rule; without one nothing is accepted.
///
/// The text is a comma list of `WHO SUBJECT`: WHO is `*`, a user's name or number, or `%` and a group's name or number;
/// SUBJECT is a subject in which the part `*` stands for any one part and a last part `>` for one or more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    rules: Vec<Rule>,
    owner: Option<u32>,
}

/// Who asks. Names are for rules that have names in them, see [`Rules::need_names`].
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The user's number, as the kernel says.
    pub uid: u32,
    /// The user's name, when there is one.
    pub user: Option<&'a str>,
    /// The groups the user is in.
    pub groups: &'a [Group],
}

/// A group of a caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// The group's number.
    pub gid: u32,
    /// The group's name, when there is one.
    pub name: Option<String>,
}

/// A text that is no list of rules.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{rule:?} is no rule of plugin.choria.submission.allow: {why}; a rule is WHO SUBJECT, such as `* local.>`, `alice jobs.backup` or `%ops jobs.>`"
)]
pub struct InvalidRules {
    /// The rule, cut to 128 characters.
    pub rule: String,
    /// What is wrong with it.
    pub why: &'static str,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    who: Who,
    /// The parts between dots; `>` can only be the last.
    subject: Vec<Box<str>>,
}

/// Whom a rule is for. A name of digits alone is a number.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Who {
    Everybody,
    User(Box<str>),
    Uid(u32),
    Group(Box<str>),
    Gid(u32),
}

/// Most rules: each message is compared with all of them.
const MOST_RULES: usize = 1000;

impl Rules {
    /// Reads the setting. An empty text allows nobody but root and the owner.
    ///
    /// # Errors
    /// The first rule that cannot be read; a rule that is half understood would allow too much or too little.
    pub fn parse(text: &str) -> Result<Self, InvalidRules> {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        let rules = texts.map(Rule::parse).collect::<Result<Vec<_>, _>>()?;
        if rules.len() > MOST_RULES {
            return Err(InvalidRules { rule: rules[MOST_RULES].to_string(), why: "there are more than 1000 rules" });
        }
        Ok(Self { rules, owner: None })
    }

    /// The same rules for a spool that belongs to this user.
    #[must_use]
    pub fn with_owner(self, uid: u32) -> Self {
        Self { owner: Some(uid), ..self }
    }

    /// Whether this user may always submit, and name another sender: root and the owner of the spool.
    #[must_use]
    pub fn trust(&self, uid: u32) -> bool {
        uid == 0 || self.owner == Some(uid)
    }

    /// Whether a rule has a user's name or any group in it, so that the caller's must be looked up.
    #[must_use]
    pub fn need_names(&self) -> bool {
        self.rules.iter().any(|rule| !matches!(rule.who, Who::Everybody | Who::Uid(_)))
    }

    /// Decides. The subject need not be a valid one: what is not allowed is refused before it is judged.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`].
    pub fn allows(&self, caller: &Caller<'_>, subject: &str) -> Result<(), Refusal> {
        if self.trust(caller.uid) || self.rules.iter().any(|rule| rule.fits(caller, subject)) {
            return Ok(());
        }
        let user = caller.user.map_or_else(|| format!("user {}", caller.uid), |name| format!("user {name:?}"));
        Err(Refusal::NotAllowed { user, subject: subject.chars().take(64).collect() })
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, InvalidRules> {
        let invalid = |why| InvalidRules { rule: text.chars().take(128).collect(), why };
        let mut words = text.split_whitespace();
        let (Some(who), Some(subject), None) = (words.next(), words.next(), words.next()) else {
            return Err(invalid("it is not two words"));
        };
        let who = Who::parse(who).ok_or_else(|| invalid("it names no user, no `%group` and not `*`"))?;
        let subject: Vec<Box<str>> = subject.split('.').map(Box::from).collect();
        let last = subject.len() - 1;
        for (position, part) in subject.iter().enumerate() {
            let why = match &**part {
                "" => "its subject has an empty part",
                ">" if position != last => "its subject has `>` before the end",
                "*" | ">" => continue,
                part if part.contains(['*', '>']) => "its subject has a part that is more than `*` or `>`",
                part if part.contains(char::is_control) => "its subject has control characters",
                _ => continue,
            };
            return Err(invalid(why));
        }
        Ok(Self { who, subject })
    }

    fn fits(&self, caller: &Caller<'_>, subject: &str) -> bool {
        let who = match &self.who {
            Who::Everybody => true,
            Who::User(name) => caller.user == Some(&**name),
            Who::Uid(uid) => caller.uid == *uid,
            Who::Group(name) => caller.groups.iter().any(|group| group.name.as_deref() == Some(&**name)),
            Who::Gid(gid) => caller.groups.iter().any(|group| group.gid == *gid),
        };
        who && self.covers(subject)
    }

    fn covers(&self, subject: &str) -> bool {
        let mut parts = subject.split('.');
        for pattern in &self.subject {
            match (&**pattern, parts.next()) {
                (_, None | Some("")) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

impl Who {
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix('%').unwrap_or(text);
        if text == "*" {
            return Some(Self::Everybody);
        }
        // Names as systems and directories have them: also `DOMAIN\user` and `user@domain`.
        if name.is_empty() || name.contains(|c: char| c.is_control() || matches!(c, '*' | '>' | '%' | ':' | '/')) {
            return None;
        }
        let number = name.bytes().all(|byte| byte.is_ascii_digit());
        Some(match (text.starts_with('%'), number) {
            (false, false) => Self::User(name.into()),
            (false, true) => Self::Uid(name.parse().ok()?),
            (true, false) => Self::Group(name.into()),
            (true, true) => Self::Gid(name.parse().ok()?),
        })
    }
}

impl Default for Rules {
    /// [`DEFAULT_RULES`].
    fn default() -> Self {
        let subject = vec!["local".into(), ">".into()];
        Self { rules: vec![Rule { who: Who::Everybody, subject }], owner: None }
    }
}

/// The rules as they are written in the setting.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Everybody => f.write_str("*")?,
            Who::User(name) => f.write_str(name)?,
            Who::Uid(uid) => write!(f, "{uid}")?,
            Who::Group(name) => write!(f, "%{name}")?,
            Who::Gid(gid) => write!(f, "%{gid}")?,
        }
        write!(f, " {}", self.subject.join("."))
    }
}

#[cfg(test)]
mod tests;
