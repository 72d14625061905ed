//! One answer to Prometheus, made anew for each scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Summary};
use prometheus::{Counter, Encoder as _, Gauge, Opts, Registry, TextEncoder};
use std::collections::HashMap;

/// The type of the text that [`Scrape::encode`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Values of metrics at one moment. Names are used as given, counters get no suffix: dashboards for the original system
/// know them so.
///
/// One name has one help text and one set of label names; a value that breaks that, or that is there already, is left
/// out and logged, because a wrong metric must not hide the others.
#[derive(Debug, Default)]
pub struct Scrape(Registry);

impl Scrape {
    /// Adds a value that only grows.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let made = Counter::with_opts(opts(name, help, labels));
        self.register(name, made, |counter| counter.inc_by(value as f64));
    }

    /// Adds a sum that only grows and may have a fraction.
    pub fn counter_of(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let made = Counter::with_opts(opts(name, help, labels));
        self.register(name, made, |counter| counter.inc_by(value.max(0.0)));
    }

    /// Adds a value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let made = Gauge::with_opts(opts(name, help, labels));
        self.register(name, made, |gauge| gauge.set(value));
    }

    /// Adds how many times something was measured and the sum of what was measured.
    pub fn summary(&mut self, name: &str, help: &str, labels: &[(&str, &str)], count: u64, sum: f64) {
        self.register(name, Totals::new(name, help, labels, count, sum), |_| {});
    }

    /// The text format of Prometheus, version 0.0.4; metrics are sorted by name.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for family in self.0.gather() {
            let whole = text.len();
            if let Err(error) = TextEncoder::new().encode(&[family], &mut text) {
                tracing::error!("a metric cannot be written: {error}");
                text.truncate(whole);
            }
        }
        text
    }

    fn register<C>(&self, name: &str, made: prometheus::Result<C>, set: impl FnOnce(&C))
    where
        C: Collector + Clone + 'static,
    {
        let registered = made.and_then(|metric| {
            set(&metric);
            self.0.register(Box::new(metric))
        });
        if let Err(error) = registered {
            tracing::error!("the metric {name} is left out: {error}");
        }
    }
}

fn opts(name: &str, help: &str, labels: &[(&str, &str)]) -> Opts {
    let labels: HashMap<String, String> = pairs(labels).collect();
    Opts::new(name, help).const_labels(labels)
}

fn pairs<'a>(labels: &'a [(&str, &str)]) -> impl Iterator<Item = (String, String)> + 'a {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

/// A summary without quantiles, of which the library has none.
#[derive(Clone, Debug)]
struct Totals {
    description: Desc,
    count: u64,
    sum: f64,
}

impl Totals {
    fn new(name: &str, help: &str, labels: &[(&str, &str)], count: u64, sum: f64) -> prometheus::Result<Self> {
        let description = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), pairs(labels).collect())?;
        Ok(Self { description, count, sum })
    }
}

impl Collector for Totals {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut summary = Summary::default();
        summary.set_sample_count(self.count);
        summary.set_sample_sum(self.sum);
        let labels: Vec<LabelPair> = self.description.const_label_pairs.clone();
        let mut metric = Metric::from_label(labels);
        metric.set_summary(summary);
        let mut family = MetricFamily::default();
        family.set_name(self.description.fq_name.clone());
        family.set_help(self.description.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_prometheus_reads_it() {
        let mut scrape = Scrape::default();
        scrape.summary("b_time", "Seconds", &[("who", "n1")], 2, 0.75);
        scrape.counter("b_denied", "Denied", &[("reason", "token"), ("who", "n1")], 3);
        scrape.counter("b_denied", "Denied", &[("reason", "a\"b\\c\nd"), ("who", "n1")], 1);
        scrape.gauge("a_level", "Level\nof it", &[], -1.5);
        scrape.counter_of("c_seconds", "Time", &[], 0.25);
        let expected = "# HELP a_level Level\\nof it\n# TYPE a_level gauge\na_level -1.5\n\
            # HELP b_denied Denied\n# TYPE b_denied counter\nb_denied{reason=\"a\\\"b\\\\c\\nd\",who=\"n1\"} 1\n\
            b_denied{reason=\"token\",who=\"n1\"} 3\n\
            # HELP b_time Seconds\n# TYPE b_time summary\nb_time_sum{who=\"n1\"} 0.75\nb_time_count{who=\"n1\"} 2\n\
            # HELP c_seconds Time\n# TYPE c_seconds counter\nc_seconds 0.25\n";
        assert_eq!(String::from_utf8(scrape.encode()).expect("UTF-8"), expected);
    }

    #[test]
    fn what_contradicts_itself_is_left_out() {
        let mut scrape = Scrape::default();
        scrape.counter("one", "Help", &[("a", "1")], 1);
        scrape.counter("one", "Help", &[("a", "1")], 2);
        scrape.counter("one", "Other help", &[("a", "2")], 3);
        scrape.counter("one", "Help", &[("b", "1")], 4);
        scrape.counter("no name", "Help", &[], 5);
        scrape.counter("two", "Help", &[("no label", "1")], 6);
        let text = String::from_utf8(scrape.encode()).expect("UTF-8");
        assert_eq!(text, "# HELP one Help\n# TYPE one counter\none{a=\"1\"} 1\n");
    }
}
