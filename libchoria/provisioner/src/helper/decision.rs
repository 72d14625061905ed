//! What the helper answered, judged: its words become root's files on a node, so only what is meant gets there
//! (spec 06 §7, §10.2).

use names::{Collective, Identity};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use tokens::ServerPermissions;

/// What is to become of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It gets this.
    Configure(Box<Bundle>),
    /// It shall wait, for this reason.
    Defer(String),
    /// It shall stop, for this reason.
    Shutdown(String),
}

/// What a node gets. Never prints the private key or the values of settings.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Bundle {
    /// Settings for its configuration file; at least one.
    pub configuration: BTreeMap<String, String>,
    /// Its certificate, PEM; empty when there is none, as all texts here.
    pub certificate: String,
    /// The certificates of authorities, PEM.
    pub ca: String,
    /// Where it keeps them.
    pub ssldir: String,
    /// Its private key, PEM, in the clear.
    pub key: String,
    /// Action policies by file name.
    pub action_policies: BTreeMap<String, String>,
    /// Open Policy Agent policies by file name.
    pub opa_policies: BTreeMap<String, String>,
    /// The version of the software it shall have.
    pub upgrade: String,
    /// For its token.
    pub claims: ServerWishes,
    /// What the helper said that has no effect, for the log.
    pub warnings: Vec<String>,
}

/// What the helper may choose about a server token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerWishes {
    /// The organization.
    pub organization: Option<String>,
    /// The collectives; empty: those of the configuration.
    pub collectives: Vec<String>,
    /// Subjects to publish to besides those of the permissions.
    pub publish_subjects: Vec<String>,
    /// What the server may do.
    pub permissions: Option<ServerPermissions>,
    /// When the token expires, seconds since 1970.
    pub expires: Option<u64>,
}

/// Why an answer is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It is not one JSON document of the expected form.
    #[error("the helper's answer cannot be read: {0}")]
    Unreadable(String),
    /// Nothing is to be configured.
    #[error("the helper's answer has no configuration, and neither defer nor shutdown")]
    Empty,
    /// It speaks of another node or key.
    #[error("the helper's answer sets {key} to {found:?} for the node {node}: {rule}")]
    Foreign {
        /// What it sets.
        key: &'static str,
        /// To what, cut to 128 characters.
        found: String,
        /// The node.
        node: Identity,
        /// What must hold.
        rule: &'static str,
    },
    /// A value that must not reach a node.
    #[error("the helper's answer has {what} {name:?}: {rule}")]
    Value {
        /// The kind of value, with its article.
        what: &'static str,
        /// Which one, cut to 128 characters; never a value that may be secret.
        name: String,
        /// What must hold.
        rule: &'static str,
    },
}

/// The answer as it is written. Unknown keys are ignored, `null` is nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    defer: Option<bool>,
    shutdown: Option<bool>,
    msg: Option<String>,
    configuration: Option<BTreeMap<String, String>>,
    certificate: Option<String>,
    ca: Option<String>,
    ssldir: Option<String>,
    key: Option<String>,
    server_claims: Option<Map<String, Value>>,
    action_policies: Option<BTreeMap<String, String>>,
    opa_policies: Option<BTreeMap<String, String>>,
    upgrade: Option<String>,
}

impl Decision {
    /// Reads what the helper wrote about `node`, whose own key is `public_key` if it has one.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn read(output: &[u8], node: &Identity, public_key: Option<&tokens::PublicKey>) -> Result<Self, Refused> {
        // A list would be taken for the values in order.
        if output.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Refused::Unreadable("it is a list, and must be an object".to_owned()));
        }
        // The parser's own words name line and column; what it found there may be secret and is left out.
        let answer: Answer = serde_json::from_slice(output).map_err(|error| Refused::Unreadable(reason(&error)))?;
        let reason = one_line(answer.msg.as_deref().unwrap_or("no reason given"));
        match (answer.defer, answer.shutdown) {
            (Some(true), _) => return Ok(Self::Defer(reason)),
            (_, Some(true)) => return Ok(Self::Shutdown(reason)),
            _ => {}
        }
        let mut bundle = Bundle {
            configuration: answer.configuration.unwrap_or_default(),
            certificate: answer.certificate.unwrap_or_default(),
            ca: answer.ca.unwrap_or_default(),
            ssldir: answer.ssldir.unwrap_or_default(),
            key: answer.key.unwrap_or_default(),
            action_policies: answer.action_policies.unwrap_or_default(),
            opa_policies: answer.opa_policies.unwrap_or_default(),
            upgrade: answer.upgrade.unwrap_or_default(),
            ..Bundle::default()
        };
        bundle.check(node)?;
        if let Some(claims) = answer.server_claims {
            bundle.claims = wishes(&claims, node, public_key, &mut bundle.warnings)?;
        }
        Ok(Self::Configure(Box::new(bundle)))
    }
}

impl Bundle {
    fn check(&mut self, node: &Identity) -> Result<(), Refused> {
        if self.configuration.is_empty() {
            return Err(Refused::Empty);
        }
        for (key, value) in &self.configuration {
            let refused = |rule| Err(Refused::Value { what: "a setting", name: cut(key), rule });
            if key.is_empty() || key.starts_with('#') || key.contains(|c: char| c == '=' || c.is_whitespace()) {
                return refused("the name of a setting has no `=` and no white space, and does not begin with `#`");
            }
            if key.chars().chain(value.chars()).any(|c| c.is_control()) {
                return refused("settings stand on one line each, so no control characters");
            }
        }
        if let Some(identity) = self.configuration.get("identity").filter(|identity| *identity != node.as_str()) {
            let rule = "a node cannot become another one, leave identity out or give the node's own";
            return Err(Refused::Foreign { key: "identity", found: cut(identity), node: node.clone(), rule });
        }
        if let Some(list) = self.configuration.get("collectives") {
            check_collectives(list.split(',').map(str::trim).filter(|name| !name.is_empty()))?;
        }
        check_policies(&self.action_policies, "an action policy", ".policy", POLICY_RULE)?;
        check_policies(&self.opa_policies, "an OPA policy", ".rego", REGO_RULE)?;
        self.check_files()?;
        let version = self.upgrade.chars().all(|c| c.is_ascii_alphanumeric() || "._+-~:".contains(c));
        if !version || self.upgrade.len() > 64 || self.upgrade.contains("..") {
            let rule = "it becomes part of an address: at most 64 letters, digits, `.`, `_`, `+`, `-`, `~`, `:`";
            return Err(Refused::Value { what: "a version", name: cut(&self.upgrade), rule });
        }
        if self.configuration.get("plugin.choria.server.provision").map(String::as_str) != Some("false") {
            let text = "the configuration does not set plugin.choria.server.provision to false: a node whose provisioning \
                        token says it provisions by default comes back again and again";
            self.warnings.push(text.to_owned());
        }
        Ok(())
    }

    /// Paths and PEM.
    fn check_files(&self) -> Result<(), Refused> {
        let plain = |text: &str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        for (what, text, label) in [
            ("certificate", &self.certificate, "CERTIFICATE"),
            ("ca", &self.ca, "CERTIFICATE"),
            ("key", &self.key, "PRIVATE KEY"),
        ] {
            let is_pem = text.contains("-----BEGIN ") && text.contains(label) && plain(text);
            if !text.is_empty() && !is_pem {
                let rule = "certificates and keys are PEM";
                return Err(Refused::Value { what: "a file", name: what.to_owned(), rule });
            }
        }
        let climbs = self.ssldir.split('/').any(|part| part == "..");
        if !self.ssldir.is_empty()
            && (!self.ssldir.starts_with('/') || climbs || self.ssldir.chars().any(char::is_control))
        {
            let rule = "it must be an absolute path without `..` and control characters";
            return Err(Refused::Value { what: "a folder", name: cut(&self.ssldir), rule });
        }
        Ok(())
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("configuration", &self.configuration.keys())
            .field("action_policies", &self.action_policies.keys())
            .field("opa_policies", &self.opa_policies.keys())
            .field("upgrade", &self.upgrade)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// Policies become files in a folder of the node: plain names only.
fn check_policies(
    policies: &BTreeMap<String, String>,
    what: &'static str,
    extension: &str,
    rule: &'static str,
) -> Result<(), Refused> {
    let is_plain = |name: &str| {
        let stem = name.strip_suffix(extension).unwrap_or_default();
        let allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
        !stem.is_empty() && !name.starts_with('.') && name.len() <= 255 && name.chars().all(allowed)
    };
    match policies.keys().find(|name| !is_plain(name)) {
        Some(name) => Err(Refused::Value { what, name: cut(name), rule }),
        None => Ok(()),
    }
}

/// What of `server_claims` counts. What has an unusable type or no meaning is told and ignored, since existing helpers send
/// such things; another node's name or key is no slip.
fn wishes(
    claims: &Map<String, Value>,
    node: &Identity,
    public_key: Option<&tokens::PublicKey>,
    warnings: &mut Vec<String>,
) -> Result<ServerWishes, Refused> {
    let mut wishes = ServerWishes::default();
    for (name, value) in claims {
        let usable = match name.as_str() {
            _ if value.is_null() => true,
            "identity" => own("identity", value, node.as_str(), node)?,
            "public_key" => own("public_key", value, &public_key.map(ToString::to_string).unwrap_or_default(), node)?,
            "ou" => take(&mut wishes.organization, value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)),
            "collectives" => texts(value).map(|list| wishes.collectives = list).is_some(),
            "pub_subjects" => texts(value).map(|list| wishes.publish_subjects = list).is_some(),
            "permissions" => take(&mut wishes.permissions, value.as_object().map(permissions)),
            "exp" => take(&mut wishes.expires, value.as_u64()),
            _ => false,
        };
        if !usable {
            warnings.push(format!("server_claims.{} has no effect", cut(&one_line(name))));
        }
    }
    check_collectives(wishes.collectives.iter().map(String::as_str))?;
    if let Some(organization) = wishes.organization.as_deref().filter(|text| text.chars().any(char::is_control)) {
        let rule = "no control characters";
        return Err(Refused::Value { what: "a server_claims.ou", name: cut(organization), rule });
    }
    match wishes.publish_subjects.iter().find(|subject| !may_publish(subject)) {
        Some(subject) => {
            Err(Refused::Value { what: "a server_claims.pub_subjects", name: cut(subject), rule: SUBJECT_RULE })
        }
        None => Ok(wishes),
    }
}

/// Whether a claim that is not the helper's to choose is at least the right one; `false` would tell of an unusable one.
fn own(key: &'static str, value: &Value, expected: &str, node: &Identity) -> Result<bool, Refused> {
    if value.as_str() == Some(expected) || value.as_str() == Some("") {
        return Ok(true);
    }
    let rule = "who a node is and which key it has are found out by the provisioner, leave them out of server_claims";
    let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Err(Refused::Foreign { key, found: cut(&found), node: node.clone(), rule })
}

fn take<T>(target: &mut Option<T>, value: Option<T>) -> bool {
    let usable = value.is_some();
    *target = value;
    usable
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn permissions(claims: &Map<String, Value>) -> ServerPermissions {
    let flag = |name| claims.get(name).and_then(Value::as_bool).unwrap_or(false);
    ServerPermissions {
        submission: flag("submission"),
        streams: flag("streams"),
        governor: flag("governor"),
        service_host: flag("service_host"),
    }
}

fn check_collectives<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Refused> {
    for name in names {
        if name.parse::<Collective>().is_err() {
            let rule = "a collective is 1 to 128 ASCII letters, digits, `_` or `-`";
            return Err(Refused::Value { what: "a collective", name: cut(name), rule });
        }
    }
    Ok(())
}

/// Subjects of the site: a first word of its own, so neither everything nor what belongs to the broker.
fn may_publish(subject: &str) -> bool {
    let mut words = subject.split('.');
    let first = words.next().unwrap_or_default();
    let is_word = |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control());
    let tail = subject.find('>').is_none_or(|at| at + 1 == subject.len());
    let own = is_word(first) && !first.contains(['*', '>']) && !first.starts_with('$') && !first.starts_with("_INBOX");
    own && tail && subject.len() <= 255 && words.all(is_word)
}

fn reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        Category::Eof => "the JSON document is not complete",
        Category::Data => "a value is of the wrong type; settings and policies are texts, flags true or false",
        Category::Syntax | Category::Io => "it is not exactly one JSON document",
    };
    format!("{what} (line {line}, column {column})")
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}

const POLICY_RULE: &str = "it is the name of a file: it ends in .policy, does not begin with a dot and has no slash";
const REGO_RULE: &str = "it is the name of a file: it ends in .rego, does not begin with a dot and has no slash";
const SUBJECT_RULE: &str = "a subject for servers begins with a word of its own, not with a wildcard, `$` or _INBOX";

#[cfg(test)]
mod tests;
