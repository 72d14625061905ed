//! Numbers as text, alike in every output: no exponent, no `.0`.

use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// The shortest decimal text that reads back as `float`, without exponent; `NaN`, `+Inf` and `-Inf` otherwise.
#[must_use]
pub fn float_text(float: f64) -> String {
    if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{float}")
    }
}

/// The text of a JSON number: whole ones as they are, others as [`float_text`].
#[must_use]
pub fn number_text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    number.as_f64().map_or_else(|| number.to_string(), float_text)
}

/// `float` as JSON, a whole one without fraction; `None` when it is not finite.
pub(crate) fn to_json(float: f64) -> Option<Value> {
    let whole = (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    whole.map(Number::from).or_else(|| Number::from_f64(float)).map(Value::Number)
}

/// Compact JSON text of `value` with sorted keys and numbers as in [`number_text`], so that equal values are one value in
/// a summary.
#[must_use]
pub fn compact_json(value: &Value) -> String {
    match value {
        Value::Number(number) => number_text(number),
        Value::Array(items) => format!("[{}]", items.iter().map(compact_json).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let field =
                |(name, value): (&String, &Value)| format!("{}:{}", Value::from(name.as_str()), compact_json(value));
            format!("{{{}}}", sorted.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        let rows = [
            (json!(1.0), "1"),
            (json!(-1.5), "-1.5"),
            (json!(1e21), "1000000000000000000000"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.0001), "0.0001"),
            (json!([1.0, "a\"b", null, {"b": 1.0, "a": true}]), r#"[1,"a\"b",null,{"a":true,"b":1}]"#),
        ];
        for (value, expected) in rows {
            assert_eq!(compact_json(&value), expected);
        }
        assert_eq!(float_text(f64::NAN), "NaN");
        assert_eq!(to_json(f64::INFINITY), None);
        assert_eq!(to_json(3.0), Some(json!(3)));
    }
}
