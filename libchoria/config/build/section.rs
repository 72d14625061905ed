//! Reads one table of a specification key by key, and says in one sentence what is wrong with a key.

use toml::{Table, Value};

/// A table being read; what nobody asked for is unknown.
pub(crate) struct Section<'a> {
    file: &'a str,
    name: &'a str,
    table: Option<&'a Table>,
    known: Vec<&'static str>,
}

/// A rule: whether a text keeps it, and its words after "must".
pub(crate) type Rule = (fn(&str) -> bool, &'static str);

impl<'a> Section<'a> {
    /// The table `name` of `root`, which may be missing.
    pub(crate) fn of(root: &'a Table, name: &'a str, file: &'a str) -> Result<Self, String> {
        let table = match root.get(name) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => return Err(format!("{file}: {name} is {}: write [{name}] and its keys below", kind(other))),
        };
        Ok(Self { file, name, table, known: Vec::new() })
    }

    /// A text that keeps `rule`; `default` when the key is missing.
    pub(crate) fn text(&mut self, key: &'static str, default: &str, rule: Rule) -> Result<String, String> {
        match self.value(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => self.keeps(key, text, rule),
            Some(other) => Err(self.wrong(key, &format!("is {}: it must be a text in quotes", kind(other)))),
        }
    }

    /// A text that keeps `rule`, or nothing.
    pub(crate) fn optional(&mut self, key: &'static str, rule: Rule) -> Result<String, String> {
        match self.value(key) {
            Some(Value::String(text)) if text.is_empty() => Ok(String::new()),
            _ => self.text(key, "", rule),
        }
    }

    /// A text that is not shown when it breaks `rule`.
    pub(crate) fn secret(&mut self, key: &'static str, rule: Rule) -> Result<String, String> {
        match self.value(key) {
            Some(Value::String(text)) if !text.is_empty() && !(rule.0)(text) => {
                Err(self.wrong(key, &format!("must {}", rule.1)))
            }
            Some(Value::String(text)) => Ok(text.clone()),
            _ => self.text(key, "", rule),
        }
    }

    /// Texts that each keep `rule`.
    pub(crate) fn list(&mut self, key: &'static str, default: &[&str], rule: Rule) -> Result<Vec<String>, String> {
        let items = match self.value(key) {
            None => return Ok(default.iter().map(|&text| text.to_owned()).collect()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong(key, &format!("is {}: it must be a list of texts", kind(other)))),
        };
        let each = |item: &Value| match item {
            Value::String(text) => self.keeps(key, text, rule),
            other => Err(self.wrong(key, &format!("holds {}: it must be a list of texts", kind(other)))),
        };
        items.iter().map(each).collect()
    }

    /// True or false.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, String> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, &format!("is {}: it must be true or false", kind(other)))),
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, key: &'static str, default: i64, least: i64, most: i64) -> Result<i64, String> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Integer(number)) if (least..=most).contains(number) => Ok(*number),
            Some(Value::Integer(number)) => {
                Err(self.wrong(key, &format!("is {number}: it must be between {least} and {most}")))
            }
            Some(other) => Err(self.wrong(key, &format!("is {}: it must be a number", kind(other)))),
        }
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Refuses keys that nobody asked for.
    pub(crate) fn end(self) -> Result<(), String> {
        let mut keys = self.table.into_iter().flat_map(Table::keys);
        match keys.find(|key| !self.known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(format!(
                "{}: {}.{key} is no key of a build specification: [{}] has {}",
                self.file,
                self.name,
                self.name,
                self.known.join(", ")
            )),
        }
    }

    /// A sentence about a key.
    pub(crate) fn wrong(&self, key: &str, words: &str) -> String {
        format!("{}: {}.{key} {words}", self.file, self.name)
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table?.get(key)
    }

    fn keeps(&self, key: &str, text: &str, (keeps, rule): Rule) -> Result<String, String> {
        if keeps(text) {
            return Ok(text.to_owned());
        }
        Err(self.wrong(key, &format!("is {text:?}: it must {rule}")))
    }
}

/// A value's type in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
