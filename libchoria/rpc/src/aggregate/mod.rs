//! Summaries over all replies of a request, as the document of an action asks for them (spec 03a §4).

mod format;

use crate::chart::line_chart;
use crate::ddl::{Action, AggregateItem};
use crate::number;
use format::{Argument, fill};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The summaries of one request, by output name. Kinds of summary that do not exist, and items without an output, are
/// passed over: a summary is an addition, and the replies are worth having without it.
#[derive(Clone, Debug, Default)]
pub struct Summaries {
    outputs: BTreeMap<String, Aggregate>,
}

/// The summary of one output as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SummaryText {
    /// The output's name.
    pub output: String,
    /// What to show; empty when no reply had a value.
    pub lines: Vec<String>,
}

impl Summaries {
    /// Empty summaries, as `action` asks for them. Of several for one output the last one counts.
    #[must_use]
    pub fn new(action: &Action) -> Self {
        let output = |item: &AggregateItem| item.args.first().and_then(Value::as_str).map(str::to_owned);
        let known = action.aggregate.iter().filter_map(|item| Some((output(item)?, Aggregate::new(item)?)));
        Self { outputs: known.collect() }
    }

    /// Whether nothing will be summarised, so that replies need not be added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Adds the data of one reply, failed ones included; data other than an object adds nothing.
    pub fn add(&mut self, data: &Value) {
        for (output, aggregate) in &mut self.outputs {
            match data.get(output) {
                None => {}
                Some(Value::String(text)) => aggregate.add(text),
                Some(other) => aggregate.add(&number::compact_json(other)),
            }
        }
    }

    /// Every summary for people to read, sorted by output name.
    #[must_use]
    pub fn texts(&self) -> Vec<SummaryText> {
        let text = |(output, aggregate): (&String, &Aggregate)| SummaryText {
            output: output.clone(),
            lines: aggregate.lines(),
        };
        self.outputs.iter().map(text).collect()
    }

    /// One object keyed by output name; an average over nothing and a chart of nothing are left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let json = |(output, aggregate): (&String, &Aggregate)| Some((output.clone(), aggregate.to_json()?));
        Value::Object(self.outputs.iter().filter_map(json).collect())
    }
}

/// The running summary of one output.
#[derive(Clone, Debug)]
enum Aggregate {
    Summary { counts: BTreeMap<String, u64>, labels: BTreeMap<String, String>, format: Option<String> },
    Average { sum: f64, count: u64, format: Option<String> },
    Chart(Vec<f64>),
}

impl Aggregate {
    fn new(item: &AggregateItem) -> Option<Self> {
        let options = item.args.get(1).and_then(Value::as_object).cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map_or_else(|| number::compact_json(value), str::to_owned);
        let format =
            options.get("format").and_then(Value::as_str).filter(|format| !format.is_empty()).map(str::to_owned);
        match item.function.as_str() {
            "summary" | "boolean_summary" => {
                let labels = options.iter().filter(|(name, _)| *name != "format");
                let labels = labels.map(|(value, label)| (value.clone(), text(label))).collect();
                Some(Self::Summary { counts: BTreeMap::new(), labels, format })
            }
            "average" => Some(Self::Average { sum: 0.0, count: 0, format }),
            "chart" => Some(Self::Chart(Vec::new())),
            _ => None,
        }
    }

    fn add(&mut self, value: &str) {
        let number = || value.parse::<f64>().ok().filter(|float| float.is_finite());
        match self {
            Self::Summary { counts, labels, .. } => {
                let label = labels.get(value).map_or(value, String::as_str);
                *counts.entry(label.to_owned()).or_default() += 1;
            }
            Self::Average { sum, count, .. } => {
                if let Some(number) = number() {
                    *sum += number;
                    *count += 1;
                }
            }
            Self::Chart(values) => values.extend(number()),
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Summary { counts, format, .. } => summary_lines(counts, format.as_deref()),
            Self::Average { sum, count, format } => {
                let format = format.as_deref().unwrap_or("Average: %.3f");
                vec![fill(format, &[Argument::Float(average(*sum, *count))])]
            }
            Self::Chart(values) if values.is_empty() => Vec::new(),
            Self::Chart(values) => vec![line_chart(values, "")],
        }
    }

    fn to_json(&self) -> Option<Value> {
        let single = |name: &str, value| Value::Object(Map::from_iter([(name.to_owned(), value)]));
        match self {
            Self::Summary { counts, .. } => {
                Some(Value::Object(counts.iter().map(|(value, count)| (value.clone(), Value::from(*count))).collect()))
            }
            Self::Average { sum, count, .. } => {
                number::to_json(average(*sum, *count)).map(|value| single("average", value))
            }
            Self::Chart(values) if values.is_empty() => None,
            Self::Chart(values) => Some(single("chart", Value::from(line_chart(values, "")))),
        }
    }
}

/// One line per value, the most frequent first and equally frequent ones in order of the value.
fn summary_lines(counts: &BTreeMap<String, u64>, format: Option<&str>) -> Vec<String> {
    let longest = counts.keys().map(|value| value.chars().count()).max().unwrap_or_default();
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1));
    let line = |(value, count): (&String, &u64)| match format {
        Some(format) => fill(format, &[Argument::Text(value), Argument::Count(*count)]),
        None => format!("{value:>longest$}: {count}"),
    };
    sorted.into_iter().map(line).collect()
}

/// Not a number when nothing was counted.
fn average(sum: f64, count: u64) -> f64 {
    let count = count as f64;
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summaries(function: &str, options: Value) -> Summaries {
        let args = if options.is_null() { vec![json!("o")] } else { vec![json!("o"), options] };
        let item = AggregateItem { function: function.into(), args };
        Summaries::new(&Action { aggregate: vec![item], ..Action::default() })
    }

    #[test]
    fn values_become_lines_and_json() {
        let words = json!(["med", "looooong", "looooong", 1, "looooong", 1]);
        let flags = json!(["true", true, "false", false, false, "thing", 1, "1", "not mapped"]);
        let labels = json!({"true": "enabled", "false": "disabled", "thing": "other thing", "1": "one"});
        let rows = [
            (
                "summary",
                Value::Null,
                words.clone(),
                vec!["looooong: 3", "       1: 2", "     med: 1"],
                json!({"o": {"looooong": 3, "1": 2, "med": 1}}),
            ),
            (
                "summary",
                json!({"format": "%s=%v"}),
                words,
                vec!["looooong=3", "1=2", "med=1"],
                json!({"o": {"looooong": 3, "1": 2, "med": 1}}),
            ),
            (
                "boolean_summary",
                labels,
                flags,
                vec!["   disabled: 3", "    enabled: 2", "        one: 2", " not mapped: 1", "other thing: 1"],
                json!({"o": {"disabled": 3, "enabled": 2, "one": 2, "not mapped": 1, "other thing": 1}}),
            ),
            (
                "summary",
                json!({"format": "%s Tests on %d node(s)"}),
                json!([["a", "b"], ["a", "b"], {"x": 1.0}]),
                vec!["[\"a\",\"b\"] Tests on 2 node(s)", "{\"x\":1} Tests on 1 node(s)"],
                json!({"o": {"[\"a\",\"b\"]": 2, "{\"x\":1}": 1}}),
            ),
            ("summary", Value::Null, json!([]), vec![], json!({"o": {}})),
            (
                "average",
                Value::Null,
                json!([1, 1.1, 100, "1", "a"]),
                vec!["Average: 25.775"],
                json!({"o": {"average": 25.775}}),
            ),
            ("average", json!({"format": "%.1f s"}), json!([1, 2]), vec!["1.5 s"], json!({"o": {"average": 1.5}})),
            ("average", Value::Null, json!([4]), vec!["Average: 4.000"], json!({"o": {"average": 4}})),
            ("average", Value::Null, json!(["x"]), vec!["Average: NaN"], json!({})),
            ("chart", Value::Null, json!([]), vec![], json!({})),
            ("unknown", Value::Null, json!([1]), vec![], json!({})),
        ];
        for (function, options, values, lines, json) in rows {
            let mut summaries = summaries(function, options);
            for value in values.as_array().expect("values") {
                summaries.add(&json!({"o": value}));
            }
            summaries.add(&json!({"other": 1}));
            summaries.add(&json!("no object"));
            let got: Vec<String> = summaries.texts().into_iter().flat_map(|text| text.lines).collect();
            assert_eq!(got, lines, "{function} {values}");
            assert_eq!(summaries.to_json(), json, "{function} {values}");
        }
    }

    #[test]
    fn charts_are_one_text() {
        let mut chart = summaries("chart", Value::Null);
        for value in [json!(1), json!(7), json!("50"), json!("x")] {
            chart.add(&json!({"o": value}));
        }
        let expected = line_chart(&[1.0, 7.0, 50.0], "");
        assert_eq!(chart.texts()[0].lines, [expected.as_str()]);
        assert_eq!(chart.to_json(), json!({"o": {"chart": expected}}));
    }

    #[test]
    fn broken_items_are_passed_over_and_the_last_one_counts() {
        let item = |function: &str, args: Value| AggregateItem {
            function: function.into(),
            args: args.as_array().expect("a list").clone(),
        };
        let aggregate = vec![
            item("summary", json!([])),
            item("summary", json!([1])),
            item("summary", json!(["o"])),
            item("average", json!(["o"])),
        ];
        let mut summaries = Summaries::new(&Action { aggregate, ..Action::default() });
        summaries.add(&json!({"o": 3}));
        assert_eq!(summaries.to_json(), json!({"o": {"average": 3}}));
    }
}
