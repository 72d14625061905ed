//! Which rule builds on which.

use super::words::{Kind, Word};
use std::collections::{BTreeMap, BTreeSet};

/// One rule, of which a name may have several.
#[derive(Debug)]
pub(super) struct Rule<'t> {
    pub(super) line: u32,
    /// `allow`, or `a.b` of a rule that is named so.
    path: Vec<&'t str>,
    /// What it calls or mentions, local names excepted.
    uses: BTreeSet<Vec<&'t str>>,
    /// The same with what may as well be a local name.
    may_use: BTreeSet<Vec<&'t str>>,
    /// How deep its expressions are.
    weight: usize,
    /// Whether it has neither body nor value.
    pub(super) is_bare: bool,
}

/// All rules of a text, those of one name as one.
#[derive(Debug, Default)]
pub(super) struct Graph<'t> {
    rules: Vec<Rule<'t>>,
    by_path: BTreeMap<Vec<&'t str>, usize>,
}

impl<'t> Rule<'t> {
    /// Reads the words of one rule of `package`.
    pub(super) fn read(words: &[Word<'t>], package: &[&str], weight: usize) -> Self {
        let head = usize::from(words.first().is_some_and(|word| word.text == "default" && words.len() > 1));
        let (path, after) = path(words, head);
        let locals = locals(words, head, after);
        let mut rule = Self {
            line: words.first().map_or(1, |word| word.line),
            is_bare: head == 0 && is_bare(words.get(after..).unwrap_or_default()),
            path,
            uses: BTreeSet::new(),
            may_use: BTreeSet::new(),
            weight,
        };
        let mut at = after;
        while at < words.len() {
            let dotted = words[at - 1].text == ".";
            if words[at].kind != Kind::Name || dotted {
                at += 1;
                continue;
            }
            let (mut path, next) = self::path(words, at);
            let called = words.get(next).is_some_and(|word| word.text == "(");
            let mut local = locals.contains(path[0]) && !called;
            if path[0] == "data" {
                local = false;
                let inside = path[1..].iter().zip(package).all(|(part, wanted)| part == wanted);
                if !inside {
                    at = next;
                    continue;
                }
                path.drain(..path.len().min(package.len() + 1));
            }
            if !local {
                rule.uses.insert(path.clone());
            }
            rule.may_use.insert(path);
            at = next;
        }
        rule
    }
}

impl<'t> Graph<'t> {
    /// Adds `rule` to those of its name.
    pub(super) fn add(&mut self, rule: Rule<'t>) {
        match self.by_path.get(&rule.path) {
            Some(at) => {
                let known = &mut self.rules[*at];
                known.uses.extend(rule.uses);
                known.may_use.extend(rule.may_use);
                known.weight = known.weight.max(rule.weight);
            }
            None => {
                self.by_path.insert(rule.path.clone(), self.rules.len());
                self.rules.push(rule);
            }
        }
    }

    /// The rules of a cycle, the first one again at the end, and the line of that one.
    pub(super) fn cycle(&self) -> Option<(u32, Vec<String>)> {
        let edges: Vec<Vec<usize>> = self.rules.iter().map(|rule| self.targets(&rule.uses)).collect();
        let groups = groups(&edges);
        let group = groups.iter().find(|group| group.len() > 1 || edges[group[0]].contains(&group[0]))?;
        let first = *group.iter().min()?;
        // Somewhere in the group the first is reached again: walk the shortest way.
        let mut from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiting = std::collections::VecDeque::from([first]);
        while let Some(at) = waiting.pop_front() {
            for next in edges[at].iter().filter(|next| group.contains(next)) {
                if *next == first {
                    let mut way = vec![first, at];
                    while let Some(before) = way.last().filter(|at| **at != first).and_then(|at| from.get(at)) {
                        way.push(*before);
                    }
                    if at == first {
                        way.truncate(2);
                    }
                    way.reverse();
                    let names = way.iter().take(8).map(|at| super::super::shown(&self.rules[*at].path.join(".")));
                    return Some((self.rules[first].line, names.collect()));
                }
                if !from.contains_key(next) {
                    from.insert(*next, at);
                    waiting.push_back(*next);
                }
            }
        }
        None
    }

    /// A rule whose evaluation may go deeper than `most`, with its line. Local names count as rules here: too many
    /// refused are better than a stack too small.
    pub(super) fn too_deep(&self, most: usize) -> Option<(u32, String)> {
        let edges: Vec<Vec<usize>> = self.rules.iter().map(|rule| self.targets(&rule.may_use)).collect();
        let groups = groups(&edges);
        let mut group_of = vec![0; self.rules.len()];
        groups.iter().enumerate().for_each(|(number, group)| group.iter().for_each(|at| group_of[*at] = number));
        // Groups come after those they build on.
        let mut deep: Vec<usize> = Vec::with_capacity(groups.len());
        for (number, group) in groups.iter().enumerate() {
            let own: usize = group.iter().map(|at| self.rules[*at].weight).sum();
            let below = group.iter().flat_map(|at| &edges[*at]).map(|to| group_of[*to]).filter(|to| *to != number);
            let depth = own + below.map(|to| deep[to]).max().unwrap_or_default();
            if depth > most {
                let rule = &self.rules[group[0]];
                return Some((rule.line, super::super::shown(&rule.path.join("."))));
            }
            deep.push(depth);
        }
        None
    }

    /// The rules that `uses` may mean: named so, above it, or below it.
    fn targets(&self, uses: &BTreeSet<Vec<&'t str>>) -> Vec<usize> {
        let mut found = BTreeSet::new();
        for path in uses {
            (1..=path.len()).for_each(|length| found.extend(self.by_path.get(&path[..length])));
            let below = self.by_path.range(path.clone()..).take_while(|(other, _)| other.starts_with(path));
            found.extend(below.map(|(_, at)| at));
        }
        found.into_iter().copied().collect()
    }
}

/// Whether what follows a rule's name is neither body nor value; the element of a set is as good.
fn is_bare(rest: &[Word<'_>]) -> bool {
    let element = rest.first().is_some_and(|word| word.text == "[");
    !element && !rest.iter().any(|word| ["{", "=", ":=", "if", "contains"].contains(&word.text))
}

/// The dotted name at `at`, and the first word after it. `["x"]` counts as `.x`.
fn path<'t>(words: &[Word<'t>], at: usize) -> (Vec<&'t str>, usize) {
    let mut path = vec![words[at].text];
    let mut at = at + 1;
    loop {
        match words.get(at..).unwrap_or_default() {
            [dot, name, ..] if dot.text == "." && !dot.spaced && name.kind == Kind::Name => {
                path.push(name.text);
                at += 2;
            }
            [open, key, close, ..]
                if open.text == "[" && !open.spaced && key.kind == Kind::Literal && close.text == "]" =>
            {
                path.push(key.text.trim_matches(['"', '`']));
                at += 3;
            }
            _ => return (path, at),
        }
    }
}

/// The names that a rule makes for itself: arguments, `some x`, `every x`, `x := …`.
fn locals<'t>(words: &[Word<'t>], head: usize, after: usize) -> BTreeSet<&'t str> {
    let mut found = BTreeSet::from(["_"]);
    let mut add = |words: &[Word<'t>]| {
        found.extend(words.iter().filter(|word| word.kind == Kind::Name).map(|word| word.text));
    };
    if words.get(after).is_some_and(|word| word.text == "(") {
        let end = words[after..].iter().position(|word| word.text == ")").map_or(words.len(), |end| after + end);
        add(&words[after..end]);
    }
    for at in head + 1..words.len() {
        match words[at].text {
            "some" | "every" => {
                let rest = &words[at + 1..];
                let end = rest.iter().position(|word| {
                    word.first_on_line || ["in", "{", "}", ";"].contains(&word.text) || word.kind == Kind::Operator
                });
                add(&rest[..end.unwrap_or(rest.len())]);
            }
            ":=" if at > after => {
                let before = &words[..at];
                let start = match before.last() {
                    Some(last) if last.kind == Kind::Close => opening(before),
                    _ => at - 1,
                };
                add(&words[start..at]);
            }
            _ => {}
        }
    }
    found
}

/// Where the bracket that ends `words` was opened.
fn opening(words: &[Word<'_>]) -> usize {
    let mut open = 0_usize;
    for (at, word) in words.iter().enumerate().rev() {
        match word.kind {
            Kind::Close => open += 1,
            Kind::Open => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    0
}

/// The strongly connected groups, each after those it leads to (Tarjan, without recursion).
fn groups(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut index, mut low, mut on_stack) =
        (vec![UNSEEN; edges.len()], vec![0; edges.len()], vec![false; edges.len()]);
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for start in 0..edges.len() {
        if index[start] != UNSEEN {
            continue;
        }
        // The node and how many of its edges were followed.
        let mut calls = vec![(start, 0)];
        while let Some((at, followed)) = calls.pop() {
            if followed == 0 {
                (index[at], low[at], on_stack[at]) = (next, next, true);
                next += 1;
                stack.push(at);
            }
            if let Some(to) = edges[at].get(followed).copied() {
                calls.push((at, followed + 1));
                if index[to] == UNSEEN {
                    calls.push((to, 0));
                } else if on_stack[to] {
                    low[at] = low[at].min(index[to]);
                }
                continue;
            }
            if let Some((caller, _)) = calls.last() {
                low[*caller] = low[*caller].min(low[at]);
            }
            if low[at] == index[at] {
                let mut group = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    group.push(member);
                    if member == at {
                        break;
                    }
                }
                found.push(group);
            }
        }
    }
    found
}
