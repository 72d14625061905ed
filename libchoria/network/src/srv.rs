//! DNS service records: what is asked, in which order the answers are used (RFC 2782), who answers.

use std::future::Future;

/// One SRV answer. `target` has no trailing dot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceRecord {
    /// Host name of the service.
    pub target: String,
    /// TCP port of the service.
    pub port: u16,
    /// Lower values are used first.
    pub priority: u16,
    /// Share among records of one priority.
    pub weight: u16,
}

/// A query that brought no answer; carries the resolver's reason.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no SRV records for {name}: {reason}")]
pub struct LookupError {
    /// The whole name that was asked for.
    pub name: String,
    /// Why, in the resolver's words.
    pub reason: String,
}

/// Who answers SRV queries: DNS in a daemon, a table in a test.
pub trait ServiceLookup: Send + Sync {
    /// All records of `name`, in any order; an empty answer is an error.
    fn lookup(&self, name: &str) -> impl Future<Output = Result<Vec<ServiceRecord>, LookupError>> + Send;
}

/// Asks the name servers of `/etc/resolv.conf`. The resolver is made for each query and dropped again: a node asks at
/// start, then perhaps never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dns;

impl ServiceLookup for Dns {
    async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
        let failed =
            |error: hickory_resolver::ResolveError| LookupError { name: name.to_owned(), reason: error.to_string() };
        let resolver = hickory_resolver::TokioResolver::builder_tokio().map_err(failed)?.build();
        // A trailing dot keeps the search list of resolv.conf out: the name is already complete.
        let answer = resolver.srv_lookup(format!("{}.", name.trim_end_matches('.'))).await.map_err(failed)?;
        let records = answer.iter().map(|record| ServiceRecord {
            target: record.target().to_utf8().trim_end_matches('.').to_owned(),
            port: record.port(),
            priority: record.priority(),
            weight: record.weight(),
        });
        Ok(records.collect())
    }
}

/// Puts `records` in the order of use: by priority, and within one priority at random, weighted by weight (RFC 2782).
/// `chance` gives numbers uniform in `0.0..1.0`.
#[must_use]
pub fn in_order_of_use(mut records: Vec<ServiceRecord>, mut chance: impl FnMut() -> f64) -> Vec<ServiceRecord> {
    // Weight 0 goes first within its priority, so that it is picked only when the running sum starts at it.
    records.sort_by_key(|record| (record.priority, record.weight > 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let group = records.iter().take_while(|record| record.priority == first.priority).count();
        let total: u32 = records.iter().take(group).map(|record| u32::from(record.weight)).sum();
        let mark = (chance().clamp(0.0, 1.0) * f64::from(total)).round() as u32;
        let mut sum = 0;
        let position = records.iter().take(group).position(|record| {
            sum += u32::from(record.weight);
            sum >= mark
        });
        ordered.push(records.remove(position.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(target: &str, priority: u16, weight: u16) -> ServiceRecord {
        ServiceRecord { target: target.to_owned(), port: 4222, priority, weight }
    }

    #[test]
    fn order_follows_priority_then_weighted_chance() {
        let pool = vec![record("c", 20, 0), record("a", 10, 10), record("b", 10, 30), record("z", 10, 0)];
        let rows: &[(f64, [&str; 4])] = &[
            // chance, order
            (0.0, ["z", "a", "b", "c"]),
            (0.2, ["a", "b", "z", "c"]),
            (0.9, ["b", "a", "z", "c"]),
            (1.0, ["b", "a", "z", "c"]),
        ];
        for (chance, expected) in rows {
            let ordered = in_order_of_use(pool.clone(), || *chance);
            let names: Vec<&str> = ordered.iter().map(|record| record.target.as_str()).collect();
            assert_eq!(names, expected, "chance {chance}");
        }
    }

    #[test]
    fn no_record_is_lost() {
        let pool: Vec<_> = (0..20).map(|n| record(&format!("h{n}"), n % 3, n * 7 % 5)).collect();
        let ordered = in_order_of_use(pool.clone(), rand::random);
        assert_eq!(ordered.len(), pool.len());
        assert!(ordered.windows(2).all(|pair| pair[0].priority <= pair[1].priority));
    }
}
