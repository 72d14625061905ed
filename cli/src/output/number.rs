//! Numbers as people read them (spec 09 §2.2, §18).

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups: Vec<&str> = (0..rest.len()).step_by(3).filter_map(|start| rest.get(start..start + 3)).collect();
    let parts = Some(head).filter(|head| !head.is_empty()).into_iter().chain(groups);
    parts.collect::<Vec<_>>().join(",")
}

/// `9 B`, `2.0 KiB`, `370 KiB`: units of 1024, one digit behind the point below ten.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 10 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let rounded = (value * 10.0 + 0.5).floor() / 10.0;
    let digits = usize::from(rounded < 10.0);
    format!("{rounded:.digits$} {}", UNITS[unit])
}

/// Reads a size: a number of bytes, or with a unit of 1024 (`K`, `KB`, `KiB`, … `T`). `-1` means no limit and is -1.
///
/// The error says what a size looks like; made for clap's `value_parser`.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if text == "-1" {
        return Ok(-1);
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => Some(0),
        "K" | "KB" | "KIB" => Some(10),
        "M" | "MB" | "MIB" => Some(20),
        "G" | "GB" | "GIB" => Some(30),
        "T" | "TB" | "TIB" => Some(40),
        _ => None,
    };
    let size = number.parse::<i64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.ok_or_else(|| {
        "write a number of bytes, or one with a unit such as 512K, 10M or 1G, or -1 for no limit".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        let rows = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")];
        for (number, expected) in rows {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn sizes_have_units_of_1024() {
        let rows = [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (1_023, "1023 B"),
            (2_048, "2.0 KiB"),
            (378_880, "370 KiB"),
            (10 << 20, "10 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (number, expected) in rows {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let rows = [
            ("0", Ok(0)),
            ("-1", Ok(-1)),
            ("512", Ok(512)),
            ("512b", Ok(512)),
            ("2k", Ok(2_048)),
            ("1 MiB", Ok(1 << 20)),
            ("1GB", Ok(1 << 30)),
            ("3T", Ok(3 << 40)),
            ("", Err(())),
            ("-2", Err(())),
            ("1.5M", Err(())),
            ("M", Err(())),
            ("99999999T", Err(())),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_bytes(text).map_err(|_| ()), expected, "{text:?}");
        }
    }
}
