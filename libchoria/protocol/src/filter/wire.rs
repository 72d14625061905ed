//! Reading the filter of a request: exact keys and required lists (spec 02 §4, §6). What may not be empty is
//! left to [`crate::Request::check`].

use super::{Compound, FactFilter, Filter, Operator};
use crate::read::object;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeMap;

object!(exact WireFilter {
    facts: Vec<FactFilter> = "fact",
    classes: Vec<String> = "cf_class",
    agents: Vec<String> = "agent",
    identities: Vec<String> = "identity",
    compound: Vec<Compound> = "compound",
});

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireFilter::deserialize(deserializer)?;
        Ok(Self {
            facts: wire.facts.ok_or_else(|| D::Error::missing_field("fact"))?,
            classes: wire.classes.ok_or_else(|| D::Error::missing_field("cf_class"))?,
            agents: wire.agents.unwrap_or_default(),
            identities: wire.identities.ok_or_else(|| D::Error::missing_field("identity"))?,
            compound: wire.compound.ok_or_else(|| D::Error::missing_field("compound"))?,
        })
    }
}

object!(exact WireFact {
    fact: String = "fact",
    operator: Operator = "operator",
    value: String = "value",
});

impl<'de> Deserialize<'de> for FactFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireFact::deserialize(deserializer)?;
        Ok(Self {
            fact: wire.fact.ok_or_else(|| D::Error::missing_field("fact"))?,
            operator: wire.operator.ok_or_else(|| D::Error::missing_field("operator"))?,
            value: wire.value.ok_or_else(|| D::Error::missing_field("value"))?,
        })
    }
}

impl<'de> Deserialize<'de> for Compound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entry = Vec::<BTreeMap<String, String>>::deserialize(deserializer)?;
        let expression = match entry.as_mut_slice() {
            [only] => only.remove("expr"),
            _ => None,
        };
        Ok(expression.map_or(Self::Unsupported(entry), Self::Expression))
    }
}
