//! What is asked of whom, as a caller puts it together.

use crate::boundary::{boundary, freeing};
use crate::failure::Failure;
use crate::handle::{borrow_mut, slot, take};
use crate::result::choria_result;
use crate::text::text;
use names::{AgentName, Collective, Identity};
use protocol::Filter;
use rpc::FilterArguments;
use rpc::ddl::Given;
use serde_json::Value;
use std::ffi::c_char;
use std::time::Duration;

/// A request for an action of an agent, with filters. Free it with `choria_request_free`; it may be sent any number of
/// times. One thread at a time.
#[derive(Debug)]
pub struct choria_request {
    pub(crate) agent: AgentName,
    pub(crate) action: String,
    inputs: Vec<(String, Input)>,
    pub(crate) collective: Option<Collective>,
    filters: FilterArguments,
    pub(crate) nodes: Vec<Identity>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) discovery_timeout: Option<Duration>,
}

/// One input as it was given.
#[derive(Debug)]
enum Input {
    Text(String),
    Value(Value),
}

/// A request for `action` of `agent` to every node that has it. `CHORIA_INVALID_ARGUMENT` when the agent's name cannot be
/// one; whether there is such an action is seen when it is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_new(
    agent: *const c_char,
    action: *const c_char,
    out: *mut *mut choria_request,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (agent, action, out) = unsafe { (text("agent", agent)?, text("action", action)?, slot("out", out)?) };
        out.give(choria_request {
            agent: name(agent)?,
            action: action.to_owned(),
            inputs: Vec::new(),
            collective: None,
            filters: FilterArguments::default(),
            nodes: Vec::new(),
            timeout: None,
            discovery_timeout: None,
        });
        Ok(())
    })
}

/// Frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_free(request: *mut choria_request) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(request) }));
}

/// Gives an input a value, as JSON: `5`, `"five"`, `{"a":[1]}`. `CHORIA_INVALID_ARGUMENT` when it is not JSON; whether it
/// fits is seen when the request is sent. The last value of a name counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_input(
    request: *mut choria_request,
    name: *const c_char,
    json: *const c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_request_new`.
        let (request, name, json) =
            unsafe { (borrow_mut("request", request)?, text("name", name)?, text("json", json)?) };
        let value = serde_json::from_str(json).map_err(|error| {
            Failure::argument(format!(
                "the value of the input {name} is not JSON ({error}): texts have quotes around them"
            ))
        })?;
        request.inputs.push((name.to_owned(), Input::Value(value)));
        Ok(())
    })
}

/// Gives an input a value as text, which is converted as the action's DDL says when the request is sent, as the choria
/// command does. The last value of a name counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_input_text(
    request: *mut choria_request,
    name: *const c_char,
    text: *const c_char,
) -> choria_result {
    use crate::text::text as given;
    boundary(|| {
        // SAFETY: as in `choria_request_new`.
        let (request, name, text) =
            unsafe { (borrow_mut("request", request)?, given("name", name)?, given("text", text)?) };
        request.inputs.push((name.to_owned(), Input::Text(text.to_owned())));
        Ok(())
    })
}

/// Asks this collective instead of the main one. `CHORIA_INVALID_ARGUMENT` when it cannot be the name of one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_collective(
    request: *mut choria_request,
    collective: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("collective", collective)?)) },
        |request, text| {
            request.collective = Some(name(text)?);
            Ok(())
        },
    )
}

/// Only nodes with a fact: `os=linux`, `cpus>4`, `os.family=~/Red/`. Every filter must match. `CHORIA_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_add_fact(request: *mut choria_request, filter: *const c_char) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("filter", filter)?)) },
        |request, text| {
            let one = FilterArguments { facts: vec![text.to_owned()], ..FilterArguments::default() };
            one.filter(None).map_err(|error| Failure::argument(error.to_string()))?;
            request.filters.facts.push(text.to_owned());
            Ok(())
        },
    )
}

/// Only nodes with a class, by name or `/regular expression/`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_add_class(
    request: *mut choria_request,
    filter: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("filter", filter)?)) },
        |request, text| {
            request.filters.classes.push(text.to_owned());
            Ok(())
        },
    )
}

/// Only nodes with an identity, by name or `/regular expression/`; several are alternatives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_add_identity(
    request: *mut choria_request,
    filter: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("filter", filter)?)) },
        |request, text| {
            request.filters.identities.push(text.to_owned());
            Ok(())
        },
    )
}

/// Only nodes with an agent, by name or `/regular expression/`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_add_agent(
    request: *mut choria_request,
    filter: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("filter", filter)?)) },
        |request, text| {
            request.filters.agents.push(text.to_owned());
            Ok(())
        },
    )
}

/// Only nodes for which an expression is true, as in `choria find -S`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_compound(
    request: *mut choria_request,
    expression: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("expression", expression)?)) },
        |request, text| {
            request.filters.compound = Some(text.to_owned());
            Ok(())
        },
    )
}

/// Asks this node; nothing is discovered then, filters do not count, and exactly the nodes added are asked.
/// `CHORIA_INVALID_ARGUMENT` when it cannot be the identity of one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_add_node(
    request: *mut choria_request,
    identity: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_request_new`.
    with_text(
        || unsafe { Ok((borrow_mut("request", request)?, text("identity", identity)?)) },
        |request, text| {
            let identity = name(text)?;
            if !request.nodes.contains(&identity) {
                request.nodes.push(identity);
            }
            Ok(())
        },
    )
}

/// How long nodes may take to answer, in milliseconds; 0 is as the DDL and the configuration say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_timeout(request: *mut choria_request, ms: u32) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_request_new`.
        unsafe { borrow_mut("request", request)? }.timeout = milliseconds(ms);
        Ok(())
    })
}

/// How long nodes are looked for, in milliseconds; 0 is as the configuration says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_request_set_discovery_timeout(request: *mut choria_request, ms: u32) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_request_new`.
        unsafe { borrow_mut("request", request)? }.discovery_timeout = milliseconds(ms);
        Ok(())
    })
}

impl choria_request {
    /// The inputs in the order in which they were given.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, Given<'_>)> {
        self.inputs.iter().map(|(name, input)| {
            let given = match input {
                Input::Text(text) => Given::Text(text),
                Input::Value(value) => Given::Value(value),
            };
            (name.as_str(), given)
        })
    }

    /// Which nodes match, those with `agent` if one is given.
    pub(crate) fn filter(&self, agent: Option<&AgentName>) -> Result<Filter, Failure> {
        self.filters.filter(agent).map_err(|error| Failure::argument(error.to_string()))
    }
}

fn milliseconds(ms: u32) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms.into()))
}

/// A validated word.
fn name<T: std::str::FromStr<Err = names::InvalidName>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: names::InvalidName| Failure::argument(error.to_string()))
}

/// Finds request and text, then changes the request.
fn with_text<'a>(
    find: impl FnOnce() -> Result<(&'a mut choria_request, &'a str), Failure>,
    change: impl FnOnce(&mut choria_request, &str) -> Result<(), Failure>,
) -> choria_result {
    boundary(|| {
        let (request, text) = find()?;
        change(request, text)
    })
}
