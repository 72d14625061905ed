//! Versions compared by the rules of RPM (spec 06 §6): epoch, version, release; segments of digits and of letters.

use std::cmp::Ordering;

/// How version `a` relates to version `b`, each `[epoch:]version[-release]`. Releases count only where both have one.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    let ((version_a, release_a), (version_b, release_b)) = (release(a), release(b));
    let releases = || match (release_a, release_b) {
        ("", _) | (_, "") => Ordering::Equal,
        (a, b) => segments(a, b),
    };
    epoch_a.cmp(&epoch_b).then_with(|| segments(version_a, version_b)).then_with(releases)
}

fn epoch(text: &str) -> (u64, &str) {
    match text.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, text),
    }
}

fn release(text: &str) -> (&str, &str) {
    text.split_once('-').unwrap_or((text, ""))
}

/// Segment by segment; what is neither digit, letter nor `~` separates.
fn segments(mut a: &str, mut b: &str) -> Ordering {
    let separator = |c: char| !c.is_ascii_alphanumeric() && c != '~';
    loop {
        (a, b) = (a.trim_start_matches(separator), b.trim_start_matches(separator));
        match (a.strip_prefix('~'), b.strip_prefix('~')) {
            (Some(rest_a), Some(rest_b)) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        if a.is_empty() || b.is_empty() {
            // More is newer.
            return a.len().min(1).cmp(&b.len().min(1));
        }
        let digits = a.starts_with(|c: char| c.is_ascii_digit());
        if digits != b.starts_with(|c: char| c.is_ascii_digit()) {
            // Numbers are newer than letters.
            return if digits { Ordering::Greater } else { Ordering::Less };
        }
        let (segment_a, rest_a) = segment(a, digits);
        let (segment_b, rest_b) = segment(b, digits);
        let order = if digits {
            segment_a.len().cmp(&segment_b.len()).then_with(|| segment_a.cmp(segment_b))
        } else {
            segment_a.cmp(segment_b)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The first segment, without leading zeros when it is a number, and the rest.
fn segment(text: &str, digits: bool) -> (&str, &str) {
    let belongs = |c: char| if digits { c.is_ascii_digit() } else { c.is_ascii_alphabetic() };
    let (segment, rest) = text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()));
    (if digits { segment.trim_start_matches('0') } else { segment }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    #[test]
    fn versions_compare_as_rpm_does() {
        let rows = [
            ("1.0", "1.0", Equal),
            ("1.0", "2.0", Less),
            ("2.0.1", "2.0.1a", Less),
            ("5.5p1", "5.5p2", Less),
            ("5.5p10", "5.5p1", Greater),
            ("10xyz", "10.1xyz", Less),
            ("xyz10", "xyz10.1", Less),
            ("xyz.4", "8", Less),
            ("8", "xyz.4", Greater),
            ("xyz.4", "2", Less),
            ("5.5p2", "5.6p1", Less),
            ("6.0.rc1", "6.0", Greater),
            ("10b2", "10a1", Greater),
            ("1.0aa", "1.0a", Greater),
            ("10.0001", "10.1", Equal),
            ("10.0001", "10.0039", Less),
            ("4.999.9", "5.0", Less),
            ("20101121", "20101122", Less),
            ("2_0", "2.0", Equal),
            ("a+", "a_", Equal),
            ("1.0~rc1", "1.0", Less),
            ("1.0~rc1", "1.0~rc2", Less),
            ("1.0~rc1~git123", "1.0~rc1", Less),
            ("1:1.0", "2.0", Greater),
            ("0:1.0", "1.0", Equal),
            ("1.0-1", "1.0-2", Less),
            ("1.0-1.el9", "1.0", Equal),
            ("0.29.4", "0.29.4-1", Equal),
            ("0.29.4", "0.29.10", Less),
            ("99999999999999999999", "100000000000000000000", Less),
            ("", "", Equal),
            ("", "1", Less),
            ("é1", "1", Equal),
        ];
        for (a, b, expected) in rows {
            assert_eq!(compare(a, b), expected, "{a} {b}");
            assert_eq!(compare(b, a), expected.reverse(), "{b} {a}");
        }
    }
}
