//! Reads a Rego text without parsing it, for what the parser and the interpreter do not bound themselves: nesting, the
//! depth to which rules build on each other, and cycles. Neither may end the process by a full stack.
//!
//! What is not Rego at all is left to the parser to refuse.

mod graph;
mod words;

use graph::{Graph, Rule};
use words::{Kind, Word, words};

/// What the text tells about itself.
#[derive(Debug)]
pub(super) struct Outline {
    /// A word that only Rego v1, or an import of `future.keywords`, makes a keyword: its line and itself. Where it is
    /// none, a text such as `allow if { … }` reads as a rule that always holds.
    pub(super) new_word: Option<(u32, &'static str)>,
    /// Line of a rule without body and value, which the older dialect's parser takes for one that always holds.
    pub(super) bare_rule: Option<u32>,
}

/// Why a text is refused before it is parsed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) line: u32,
    pub(super) why: String,
}

/// Reads the outline of `text`, whose package should be `package`.
pub(super) fn outline(text: &str, package: &str) -> Result<Outline, Refused> {
    let words = words(text);
    let depths = depths(&words)?;
    let segments = segments(&words, &depths);
    if segments.len() > MAX_RULES {
        let line = words[segments[MAX_RULES].start].line;
        return Err(refused(line, format!("it has {} rules, at most {MAX_RULES} are accepted", segments.len())));
    }
    let (imports, rules): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| ["import", "package"].contains(&words[segment.start].text));
    let package: Vec<&str> = package.split('.').collect();
    let mut graph = Graph::default();
    let mut bare_rule = None;
    for segment in &rules {
        let weight = depths[segment.clone()].iter().map(|depth| depth.expression).max().unwrap_or_default() + 1;
        let rule = Rule::read(&words[segment.clone()], &package, weight);
        if rule.is_bare && bare_rule.is_none() {
            bare_rule = Some(rule.line);
        }
        graph.add(rule);
    }
    for import in &imports {
        check_import(&words[import.clone()], &package)?;
    }
    if let Some((line, names)) = graph.cycle() {
        return Err(refused(line, format!("rules build on themselves: {}", names.join(" -> "))));
    }
    if let Some((line, name)) = graph.too_deep(MAX_DEPTH) {
        let why = format!("rule {name} builds on too many others, or its expressions are too long, to be evaluated");
        return Err(refused(line, why));
    }
    Ok(Outline { new_word: new_word(&words, &imports), bare_rule })
}

/// How deep a word stands.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// In brackets of any kind.
    brackets: usize,
    /// In expressions: brackets, operators and references of what surrounds it.
    expression: usize,
}

/// The depth of each word.
fn depths(words: &[Word<'_>]) -> Result<Vec<Depth>, Refused> {
    // The operators so far of each open level.
    let mut open: Vec<usize> = vec![0];
    let mut total = 0_usize;
    let mut found = Vec::with_capacity(words.len());
    // The parser tries what stands in these brackets twice, at each level.
    let (mut tried, mut work) = (0_u32, 0_u64);
    for (at, word) in words.iter().enumerate() {
        if word.first_on_line && !continues(words, at) {
            if let Some(operators) = open.last_mut() {
                total -= std::mem::take(operators);
            }
        }
        work += 1 << tried;
        if work > MAX_WORK {
            return Err(refused(word.line, "it would take too long to parse: brackets stand in each other too often"));
        }
        match word.kind {
            Kind::Open => {
                tried += u32::from(word.text != "(");
                found.push(Depth { brackets: open.len() - 1, expression: total + open.len() });
                if open.len() > MAX_NESTING {
                    let why = format!("brackets stand in each other more than {MAX_NESTING} deep");
                    return Err(refused(word.line, why));
                }
                // A reference such as a[1][2] is as deep as it has brackets.
                if let Some(operators) = open.last_mut() {
                    *operators += 1;
                }
                total += 1;
                open.push(0);
                continue;
            }
            Kind::Close => {
                tried = tried.saturating_sub(u32::from(word.text != ")"));
                if open.len() > 1 {
                    total -= open.pop().unwrap_or_default();
                }
            }
            Kind::Separator => {
                if let Some(operators) = open.last_mut() {
                    total -= std::mem::take(operators);
                }
            }
            Kind::Operator => {
                if let Some(operators) = open.last_mut() {
                    *operators += 1;
                    total += 1;
                    if *operators > MAX_OPERATORS {
                        let why = format!("an expression has more than {MAX_OPERATORS} operators and references");
                        return Err(refused(word.line, why));
                    }
                }
            }
            Kind::Name | Kind::Literal => {}
        }
        found.push(Depth { brackets: open.len() - 1, expression: total + open.len() });
    }
    Ok(found)
}

/// Whether the word at the start of a line goes on with what the line before began.
fn continues(words: &[Word<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| words[before]);
    let word = &words[at];
    word.kind == Kind::Operator
        || ["else", "with", "{", "contains", "if", "in"].contains(&word.text)
        || before.is_some_and(|before| before.kind == Kind::Operator || ["if", "else", "not"].contains(&before.text))
}

/// The rules, imports and the package, as ranges of words.
fn segments(words: &[Word<'_>], depths: &[Depth]) -> Vec<std::ops::Range<usize>> {
    let starts: Vec<usize> = (0..words.len())
        .filter(|at| {
            let word = &words[*at];
            let same_line = at.checked_sub(1).is_some_and(|before| ["}", ";"].contains(&words[before].text));
            depths[*at].brackets == 0
                && word.kind == Kind::Name
                && (*at == 0 || word.first_on_line || same_line)
                && !continues(words, *at)
                // `default allow = true` is one; the name after it is on the same line or begins the next.
                && at.checked_sub(1).is_none_or(|before| words[before].text != "default")
        })
        .collect();
    let ends = starts.iter().skip(1).copied().chain([words.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// An import of the package itself would hide what builds on what.
fn check_import(import: &[Word<'_>], package: &[&str]) -> Result<(), Refused> {
    let path: Vec<&str> = import.iter().skip(1).filter(|word| word.text != ".").map(|word| word.text).collect();
    let (Some(first), Some((root, rest))) = (import.first(), path.split_first()) else { return Ok(()) };
    let itself = *root == "data" && rest.iter().zip(package).all(|(part, wanted)| part == wanted);
    if first.text == "import" && itself {
        return Err(refused(first.line, "it imports its own package; call its rules by their names"));
    }
    Ok(())
}

/// The first word that only newer Rego knows, unless it is imported.
fn new_word(words: &[Word<'_>], imports: &[std::ops::Range<usize>]) -> Option<(u32, &'static str)> {
    let imported = |keyword: &str| {
        imports.iter().any(|import| {
            let path: String = words[import.clone()].iter().skip(1).map(|word| word.text).collect();
            path == "rego.v1" || path == "future.keywords" || path == format!("future.keywords.{keyword}")
        })
    };
    let is_used = |at: usize, keyword: &str| {
        let after = words.get(at + 1);
        let dotted = at.checked_sub(1).is_some_and(|before| words[before].text == ".");
        let called = after.is_some_and(|word| word.text == "(" && !word.spaced);
        words[at].text == keyword && words[at].kind == Kind::Name && !dotted && !called
    };
    (0..words.len()).find_map(|at| {
        let keyword = ["if", "contains", "every"].into_iter().find(|keyword| is_used(at, keyword))?;
        let in_import = imports.iter().any(|import| import.contains(&at));
        (!in_import && !imported(keyword)).then_some((words[at].line, keyword))
    })
}

fn refused(line: u32, why: impl Into<String>) -> Refused {
    Refused { line, why: why.into() }
}

/// Brackets in each other; policies have five or six.
const MAX_NESTING: usize = 16;
/// Words that the parser may look at, repetitions included; a table of 256 KiB has a third of it.
const MAX_WORK: u64 = 500_000;
/// Operators and references of one expression, without those in brackets.
const MAX_OPERATORS: usize = 128;
/// Rules and imports of one text.
const MAX_RULES: usize = 2048;
/// The sum of the depths of rules that build on each other; what the stack of an evaluation is made for.
const MAX_DEPTH: usize = 400;

#[cfg(test)]
mod tests;
