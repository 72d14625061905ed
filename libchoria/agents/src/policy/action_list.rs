//! The list of actions a token allows, claim `agents` (spec 03b §9.3, 07 §9.1).

/// An entry that is neither `*` nor one agent and one action with a dot between them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid agent policy: {0}: an entry of the token's agents is *, agent.* or agent.action; make the token anew with such \
     entries"
)]
pub struct InvalidEntry(String);

/// Whether `entries` allow `action` of `agent`: they are read in order, the first that fits allows, the end of the list
/// denies. Letters' case counts.
///
/// # Errors
/// [`InvalidEntry`] for the first entry of another form that is reached; nothing is allowed then, even if a later entry
/// would.
pub fn allows(entries: &[String], agent: &str, action: &str) -> Result<bool, InvalidEntry> {
    for entry in entries {
        if entry == "*" {
            return Ok(true);
        }
        let (wanted_agent, wanted_action) = match entry.split_once('.') {
            Some((wanted_agent, wanted_action)) if !wanted_action.contains('.') => (wanted_agent, wanted_action),
            _ => return Err(InvalidEntry(super::shown(entry))),
        };
        if wanted_agent == agent && (wanted_action == "*" || wanted_action == action) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_order() {
        let rows: &[(&[&str], Option<bool>)] = &[
            (&[], Some(false)),
            (&["*"], Some(true)),
            (&["rpcutil.*"], Some(true)),
            (&["rpcutil.ping"], Some(true)),
            (&["rpcutil.Ping"], Some(false)),
            (&["rpcutil.pin"], Some(false)),
            (&["puppet.*", "rpcutil.ping"], Some(true)),
            (&["puppet.ping"], Some(false)),
            (&["rpcutil.ping", "broken"], Some(true)),
            (&["broken", "rpcutil.ping"], None),
            (&["rpcutil.ping.more", "*"], None),
            (&["rpcutil"], None),
            (&["", "*"], None),
            (&[".", "rpcutil."], Some(false)),
            (&["rpc*.ping", "*.ping"], Some(false)),
        ];
        for (entries, expected) in rows {
            let list: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            assert_eq!(allows(&list, "rpcutil", "ping").ok(), *expected, "{entries:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_entry() {
        let error = allows(&["puppet".to_owned()], "rpcutil", "ping").expect_err("no dot").to_string();
        assert!(error.starts_with("invalid agent policy: puppet: "), "{error}");
    }
}
