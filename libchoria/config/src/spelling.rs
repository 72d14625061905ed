//! Compares names of keys: with patterns, and with what was probably meant.

use crate::keys::table;

/// Whether `key` is `pattern`, where a part `<…>` stands for one or more characters without a dot.
pub(crate) fn matches_pattern(pattern: &str, key: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('.'), key.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('<') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

/// The typed key that an unknown `key` was probably meant to be: at most two typing errors away, and not in the part
/// of the name space that belongs to agents (`plugin.<agent>.…`), which invent their own names.
pub(crate) fn probably_meant(key: &str) -> Option<&'static str> {
    let ours = !key.starts_with("plugin.") || OUR_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    if !ours || key.len() > LONGEST_COMPARED {
        return None;
    }
    let close = table().map(|info| (distance(key, info.name), info.name));
    close.filter(|(errors, name)| *errors <= 2 && errors * 3 <= name.len()).min().map(|(_, name)| name)
}

/// Typing errors between two texts: a letter more, less, other, or two letters swapped.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) > 2 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, &from) in left.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &to) in right.iter().enumerate() {
            let changed = row[j] + usize::from(from != to);
            let mut best = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from == right[j - 1] && left[i - 1] == to {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

/// Beginnings of names that belong to us.
const OUR_PREFIXES: &[&str] = &[
    "plugin.choria.",
    "plugin.security.",
    "plugin.nats.",
    "plugin.machines.",
    "plugin.scout.",
    "plugin.login.",
    "plugin.rpcaudit.",
];

/// Bytes of the longest name worth comparing: the longest typed key has fewer than 80.
const LONGEST_COMPARED: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognised() {
        let rows = [
            ("logevel", Some("loglevel")),
            ("collectivs", Some("collectives")),
            ("plugin.choria.middleware_host", Some("plugin.choria.middleware_hosts")),
            ("plugin.choria.ues_srv", Some("plugin.choria.use_srv")),
            ("plugin.security.provder", Some("plugin.security.provider")),
            ("plugin.puppet.command", None),
            ("plugin.yml", None),
            ("ttk", Some("ttl")),
            ("abc", None),
            ("", None),
        ];
        for (key, meant) in rows {
            assert_eq!(probably_meant(key), meant, "{key}");
        }
    }

    #[test]
    fn a_pattern_part_stands_for_one_name() {
        let rows = [
            ("a.<name>.b", "a.x.b", true),
            ("a.<name>.b", "a..b", false),
            ("a.<name>.b", "a.x.y.b", false),
            ("a.<name>.b", "a.x", false),
            ("a", "a", true),
        ];
        for (pattern, key, matches) in rows {
            assert_eq!(matches_pattern(pattern, key), matches, "{pattern} {key}");
        }
    }
}
