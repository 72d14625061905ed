//! Compares the table of keys with fact sheet 04b, so that neither can gain or lose a key alone.

use choria_config::{KeyInfo, patterns, table};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn the_table_holds_the_keys_and_defaults_of_the_sheet() {
    let sheet = sheet();
    let rows: Vec<Row> = (2..=10).flat_map(|section| rows(&sheet, section)).collect();
    assert_eq!(rows.len(), 163, "typed keys in sections 2 to 10");
    let ours: BTreeMap<&str, &KeyInfo> = table().map(|key| (key.name, key)).collect();
    let mut differences = Vec::new();
    for row in &rows {
        let Some(key) = ours.get(row.name.as_str()) else {
            differences.push(format!("{} is not in the table", row.name));
            continue;
        };
        if row.value_type.as_deref() != Some(type_in_sheet(key)) {
            differences.push(format!("{}: the sheet's type is {:?}", row.name, row.value_type));
        }
        // An unset key and one whose default is the empty value of its type are the same to a reader.
        let empty = matches!(key.default, Some("false")) && row.default.is_none();
        if row.default.as_deref() != key.default && !empty {
            differences.push(format!("{}: default {:?} here, {:?} in the sheet", row.name, key.default, row.default));
        }
    }
    for key in ours.values() {
        if rows.iter().any(|row| row.name == key.name) == key.own {
            let where_it_is = if key.own { "in the sheet and marked as our own" } else { "not in the sheet" };
            differences.push(format!("{} is {where_it_is}", key.name));
        }
    }
    assert!(differences.is_empty(), "differences from sheet 04b:\n  {}", differences.join("\n  "));
}

#[test]
fn every_raw_option_of_the_sheet_is_described() {
    let ours: BTreeMap<&str, &KeyInfo> = patterns().iter().map(|key| (key.name, key)).collect();
    for row in rows(&sheet(), 12) {
        // Typed keys are listed there a second time because their presence matters; agents name theirs themselves.
        let is_known = table().any(|key| key.name == row.name) || row.name == "plugin.<agent>.*";
        let names = if let Some((before, rest)) = row.name.split_once("{gateway,leafnode}") {
            vec![format!("{before}gateway{rest}"), format!("{before}leafnode{rest}")]
        } else {
            vec![row.name.clone()]
        };
        for name in names {
            if is_known {
                continue;
            }
            let key = ours.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not described"));
            assert_eq!(key.default, row.default.as_deref(), "{name}");
        }
    }
}

/// One line of a table of the sheet.
struct Row {
    name: String,
    value_type: Option<String>,
    default: Option<String>,
}

/// The text of the sheet: `CHORIA_SPEC`, else `../shared/spec` beside the checkout.
fn sheet() -> String {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec");
    let folder = std::env::var_os("CHORIA_SPEC").map_or(beside, PathBuf::from);
    let path = folder.join("04b-config-reference.md");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: set CHORIA_SPEC to the folder of fact sheets", path.display()))
}

/// The rows of one section: `| key | type | default | … |`, or `| key | default | … |` in section 12. A cell can name
/// several keys, of which later ones may be given by their ending.
fn rows(sheet: &str, section: u32) -> Vec<Row> {
    let start = sheet.find(&format!("\n## {section}. ")).expect("the section exists");
    let text = &sheet[start + 1..];
    let text = text.find("\n## ").map_or(text, |end| &text[..end]);
    let cells = text.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        cells
    });
    let named = |cells: &Vec<&str>| keys_of(cells[0]).into_iter().enumerate().collect::<Vec<_>>();
    cells
        .flat_map(|cells| named(&cells).into_iter().map(move |(position, name)| row(name, position, &cells, section)))
        .collect()
}

/// The key at `position` of the first cell; a default cell such as `` `follower`, – `` has one default for each key.
fn row(name: String, position: usize, cells: &[&str], section: u32) -> Row {
    let (value_type, defaults) = if section == 12 { (None, cells[1]) } else { (Some(cells[1].to_owned()), cells[2]) };
    let default = defaults.split(", ").nth(position).or_else(|| defaults.split(", ").last());
    Row { name, value_type, default: default.and_then(default_in_sheet) }
}

/// The names in a cell: `` `a.b`, `a.c` `` or `` `a.b` / `.c` ``.
fn keys_of(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let mut names: Vec<String> = Vec::new();
    for text in quoted {
        let name = match names.first() {
            Some(first) if text.starts_with('.') => {
                let parts = text.matches('.').count();
                let kept = first.rsplitn(parts + 1, '.').last().unwrap_or_default();
                format!("{kept}{text}")
            }
            _ => text.to_owned(),
        };
        names.push(name);
    }
    names
}

/// The literal default of a cell; `None` for "–" and for defaults that are worked out from something else.
fn default_in_sheet(cell: &str) -> Option<String> {
    let worked_out = [
        "–",
        "required",
        "adapter ",
        "normal ",
        "derived",
        "build default",
        "first ",
        "main ",
        "from ",
        "all ",
        "X25519,",
        "`server.",
    ];
    if worked_out.iter().any(|start| cell.starts_with(start)) {
        return None;
    }
    Some(cell.trim_matches('`').to_owned())
}

/// What the sheet calls the type of a key.
fn type_in_sheet(key: &KeyInfo) -> &'static str {
    match key.value_type.name() {
        "title_string" => "title",
        "boolean" => "bool",
        "comma_split" => "comma list",
        "path_split" => "path list",
        "strings" => "list",
        "path_string" => "path",
        other => other,
    }
}
