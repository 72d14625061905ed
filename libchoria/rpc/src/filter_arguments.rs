//! The filter flags shared by many commands, made into a filter (spec 03a §7.1).

use names::AgentName;
use protocol::Filter;
use protocol::filter::{Compound, FactFilter, InvalidFact};

/// The texts of the flags `-F -C -A -I -W -S`. Empty ones are skipped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilterArguments {
    /// `-F`: fact, operator and value, for example `os.family=RedHat`.
    pub facts: Vec<String>,
    /// `-C`: names of classes or `/expression/`.
    pub classes: Vec<String>,
    /// `-A`: names of agents or `/expression/`.
    pub agents: Vec<String>,
    /// `-I`: names of nodes or `/expression/`.
    pub identities: Vec<String>,
    /// `-W`: facts and classes with spaces between; what reads as a fact filter is one.
    pub combined: Vec<String>,
    /// `-S`: an expression.
    pub compound: Option<String>,
}

impl FilterArguments {
    /// The filter these flags mean, for nodes that have `agent`. Doubles are removed.
    ///
    /// # Errors
    /// A `-F` that is no fact filter.
    pub fn filter(&self, agent: Option<&AgentName>) -> Result<Filter, InvalidFact> {
        let mut filter = Filter::default();
        for text in given(&self.facts) {
            add(&mut filter.facts, text.parse()?);
        }
        for text in given(&self.agents) {
            add(&mut filter.agents, text.to_owned());
        }
        for text in given(&self.classes) {
            add(&mut filter.classes, text.to_owned());
        }
        for text in given(&self.identities) {
            add(&mut filter.identities, text.to_owned());
        }
        for part in given(&self.combined).flat_map(str::split_whitespace) {
            match part.parse::<FactFilter>() {
                Ok(fact) => add(&mut filter.facts, fact),
                Err(_) => add(&mut filter.classes, part.to_owned()),
            }
        }
        filter.compound.extend(given(&self.compound).map(|text| Compound::Expression(text.to_owned())));
        if let Some(agent) = agent {
            add(&mut filter.agents, agent.to_string());
        }
        Ok(filter)
    }
}

fn given<'a>(texts: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
    texts.into_iter().map(String::as_str).filter(|text| !text.is_empty())
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flags_become_the_wire_form() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let arguments = FilterArguments {
            facts: texts(&["os.family=RedHat", "cpus=>4", "name=/^web/", "", "os.family==RedHat"]),
            classes: texts(&["apache", "/^role/", "apache", ""]),
            agents: texts(&["package", "rpcutil"]),
            identities: texts(&["n1", "/^n/", "n1"]),
            combined: texts(&["country=mt nginx  apache", ""]),
            compound: Some("with('apache')".into()),
        };
        let agent: AgentName = "rpcutil".parse().expect("an agent");
        let filter = arguments.filter(Some(&agent)).expect("a filter");
        assert_eq!(
            serde_json::to_value(filter).expect("JSON"),
            json!({
                "fact": [
                    {"fact": "os.family", "operator": "==", "value": "RedHat"},
                    {"fact": "cpus", "operator": ">=", "value": "4"},
                    {"fact": "name", "operator": "=~", "value": "/^web/"},
                    {"fact": "country", "operator": "==", "value": "mt"},
                ],
                "cf_class": ["apache", "/^role/", "nginx"],
                "agent": ["package", "rpcutil"],
                "identity": ["n1", "/^n/"],
                "compound": [[{"expr": "with('apache')"}]],
            })
        );
        assert_eq!(FilterArguments::default().filter(None), Ok(Filter::default()));
    }

    #[test]
    fn a_fact_flag_must_be_a_fact() {
        let arguments = FilterArguments { facts: vec!["apache".into()], ..FilterArguments::default() };
        let error = arguments.filter(None).expect_err("no operator").to_string();
        assert!(error.starts_with("could not parse fact apache it does not appear to be in a valid format"), "{error}");
    }
}
