//! From the words of a command line to what may come next. Pure: what is known of agents and nodes is asked of a
//! [`Sources`].

use clap::{Arg, ArgAction, Command, ValueHint};

/// Flags that every command has.
const COMMON: [&str; 3] = ["--debug", "--config", "--help"];

/// One word that may come next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidate {
    /// The whole word.
    pub(super) value: String,
    /// A few words about it; may be empty.
    pub(super) help: String,
    /// Whether more is to be written behind it without a space.
    pub(super) open: bool,
}

/// Paths that may come next, which shells know best themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Paths {
    /// Files and directories.
    Any,
    /// Directories.
    Directories,
}

/// Everything that may come next.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    /// Words that begin like the current one.
    pub(super) candidates: Vec<Candidate>,
    /// Paths, if they may.
    pub(super) paths: Option<Paths>,
}

/// A name and a few words about it.
pub(super) type Named = (String, String);

/// What is known of this network without asking it.
pub(super) trait Sources {
    /// The configuration named on the command line, before anything else is asked.
    fn use_config(&mut self, path: &str);
    fn agents(&self) -> Vec<Named>;
    fn actions(&self, agent: &str) -> Vec<Named>;
    fn inputs(&self, agent: &str, action: &str) -> Vec<Named>;
    /// The values that an input may have, where they can be listed.
    fn input_values(&self, agent: &str, action: &str, input: &str) -> Vec<String>;
    fn collectives(&self) -> Vec<String>;
    fn federations(&self) -> Vec<String>;
    fn nodes(&self) -> Vec<String>;
    fn config_keys(&self) -> Vec<Named>;
}

/// What may come in place of the last of `words`, which stand behind the name of the program.
pub(super) fn complete(root: Command, words: &[String], sources: &mut dyn Sources) -> Answer {
    let Some((current, done)) = words.split_last() else { return Answer::default() };
    let mut place = Place::new(root);
    for word in done {
        place.take(word, sources);
    }
    let mut answer = place.answer(current, sources);
    answer.candidates.retain(|candidate| candidate.value.starts_with(current.as_str()));
    answer
}

/// Where on the command line the current word stands.
struct Place {
    /// The command meant so far, its flags described.
    command: Command,
    /// Names of the commands so far.
    path: Vec<String>,
    /// Flags that every command takes.
    global: Vec<Arg>,
    /// Flags that were given.
    given: Vec<String>,
    /// Words that are neither commands nor flags.
    positionals: Vec<String>,
    /// The flag whose value comes next.
    pending: Option<Arg>,
    /// Whether `--` was given.
    literal: bool,
}

impl Place {
    fn new(root: Command) -> Self {
        let global = root.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
        Self {
            command: root,
            path: Vec::new(),
            global,
            given: Vec::new(),
            positionals: Vec::new(),
            pending: None,
            literal: false,
        }
    }

    /// Goes behind one whole word.
    fn take(&mut self, word: &str, sources: &mut dyn Sources) {
        if let Some(flag) = self.pending.take() {
            value_given(&flag, word, sources);
        } else if self.literal || word == "-" {
            self.positionals.push(word.to_owned());
        } else if word == "--" {
            self.literal = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(flag) = self.flag(|arg| arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)))
            else {
                return;
            };
            self.given.push(flag.get_id().to_string());
            match value {
                Some(value) => value_given(&flag, value, sources),
                None if takes_value(&flag) => self.pending = Some(flag),
                None => {}
            }
        } else if let Some(shorts) = word.strip_prefix('-') {
            self.take_shorts(shorts);
        } else if let (true, Some(command)) = (self.positionals.is_empty(), self.command.find_subcommand(word)) {
            let mut command = command.clone();
            // Describes the flags of this command alone, see `crate::later`.
            command.build();
            self.path.push(command.get_name().to_owned());
            self.command = command;
        } else {
            self.positionals.push(word.to_owned());
        }
    }

    /// Flags of one letter, the last of which may hold its value.
    fn take_shorts(&mut self, shorts: &str) {
        for (start, letter) in shorts.char_indices() {
            let Some(flag) = self.flag(|arg| arg.get_short() == Some(letter)) else { return };
            self.given.push(flag.get_id().to_string());
            if takes_value(&flag) {
                if shorts[start + letter.len_utf8()..].is_empty() {
                    self.pending = Some(flag);
                }
                return;
            }
        }
    }

    fn flag(&self, meant: impl Fn(&Arg) -> bool) -> Option<Arg> {
        self.flags().find(|arg| meant(arg)).cloned()
    }

    /// The flags of this command, each once.
    fn flags(&self) -> impl Iterator<Item = &Arg> {
        let own = self.command.get_arguments().filter(|arg| !arg.is_positional());
        let known = |arg: &&Arg| !self.command.get_arguments().any(|own| own.get_id() == arg.get_id());
        own.chain(self.global.iter().filter(known))
    }

    fn answer(&self, current: &str, sources: &dyn Sources) -> Answer {
        if let Some(flag) = &self.pending {
            return self.values(flag, "", current, sources);
        }
        if !self.literal && current.starts_with("--") && current.contains('=') {
            let (name, value) = current.split_once('=').unwrap_or((current, ""));
            let flag = self.flag(|arg| arg.get_long() == name.strip_prefix("--"));
            return flag.map_or_else(Answer::default, |flag| self.values(&flag, &format!("{name}="), value, sources));
        }
        if !self.literal && current.starts_with('-') {
            return Answer { candidates: self.flag_names(), paths: None };
        }
        let mut answer = self.positional(current, sources);
        if self.positionals.is_empty() && !self.literal {
            answer.candidates.splice(0..0, self.commands());
        }
        answer
    }

    /// The commands below this one.
    fn commands(&self) -> Vec<Candidate> {
        let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let named = shown.filter(|command| command.get_name() != "help");
        named.map(|command| Candidate::closed(command.get_name(), &text(command.get_about()))).collect()
    }

    /// The flags that may still be given: the long ones, and short ones where there is no long one.
    fn flag_names(&self) -> Vec<Candidate> {
        let mut flags: Vec<Candidate> = self
            .flags()
            .filter(|arg| !arg.is_hide_set())
            .filter(|arg| repeats(arg) || !self.given.iter().any(|id| arg.get_id() == id.as_str()))
            .filter_map(|arg| {
                let name = match (arg.get_long(), arg.get_short()) {
                    (Some(long), _) => format!("--{long}"),
                    (None, short) => format!("-{}", short?),
                };
                Some(Candidate::closed(&name, &text(arg.get_help())))
            })
            .collect();
        // What belongs to this command comes first.
        flags.sort_by_key(|flag| COMMON.contains(&flag.value.as_str()));
        flags
    }

    /// The words that are neither commands nor flags.
    fn positional(&self, current: &str, sources: &dyn Sources) -> Answer {
        let positionals: Vec<&Arg> = self.command.get_positionals().collect();
        let next = positionals.get(self.positionals.len()).copied();
        let arg = next.or_else(|| positionals.last().copied().filter(|arg| repeats(arg)));
        arg.map_or_else(Answer::default, |arg| self.values(arg, "", current, sources))
    }

    /// What the value of `arg` may be; `before` is put before each.
    fn values(&self, arg: &Arg, before: &str, current: &str, sources: &dyn Sources) -> Answer {
        let listed: Vec<Candidate> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| Candidate::closed(value.get_name(), &text(value.get_help())))
            .collect();
        let mut candidates = if listed.is_empty() { self.known(arg, current, sources) } else { listed };
        for candidate in &mut candidates {
            candidate.value.insert_str(0, before);
        }
        let paths = match arg.get_value_hint() {
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::ExecutablePath => Some(Paths::Any),
            ValueHint::DirPath => Some(Paths::Directories),
            _ => None,
        };
        Answer { candidates, paths }
    }

    /// Values that are known from elsewhere than the command line's description.
    fn known(&self, arg: &Arg, current: &str, sources: &dyn Sources) -> Vec<Candidate> {
        let plain = |names: Vec<String>| names.iter().map(|name| Candidate::closed(name, "")).collect();
        let described = |named: Vec<Named>| named.iter().map(|(name, help)| Candidate::closed(name, help)).collect();
        let word = |position: usize| self.positionals.get(position).map(String::as_str).unwrap_or_default();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (path.as_slice(), arg.get_id().as_str()) {
            (["req"], "agent") | (_, "agents") => described(sources.agents()),
            (["req"], "action") => described(sources.actions(word(0))),
            (["req"], "inputs") => self.inputs(current, (word(0), word(1)), sources),
            (["inventory"], "identity") | (_, "identities") => plain(sources.nodes()),
            (["tool", "config"], "key") => described(sources.config_keys()),
            (_, "target") => plain(sources.collectives()),
            (_, "federations") => plain(sources.federations()),
            _ => Vec::new(),
        }
    }

    /// The inputs of an action that were not given yet, or the values of the one that is being written.
    fn inputs(&self, current: &str, (agent, action): (&str, &str), sources: &dyn Sources) -> Vec<Candidate> {
        if let Some(split) = current.find(['=', ':']) {
            let values = sources.input_values(agent, action, &current[..split]);
            let before = &current[..=split];
            return values.iter().map(|value| Candidate::closed(&format!("{before}{value}"), "")).collect();
        }
        let is_given =
            |name: &str| self.positionals.iter().skip(2).any(|word| word.split(['=', ':']).next() == Some(name));
        let named = sources.inputs(agent, action).into_iter().filter(|(name, _)| !is_given(name));
        named.map(|(name, help)| Candidate { value: format!("{name}="), help, open: true }).collect()
    }
}

impl Candidate {
    fn closed(value: &str, help: &str) -> Self {
        Self { value: value.to_owned(), help: help.to_owned(), open: false }
    }
}

/// The value of a flag that decides about others.
fn value_given(flag: &Arg, value: &str, sources: &mut dyn Sources) {
    if flag.get_id() == "config" {
        sources.use_config(value);
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn repeats(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
}

/// The first line of a help text.
fn text(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
