//! Finds this node's name when the configuration does not say it (spec 04 §3.2).

use super::Environment;
use std::net::IpAddr;

/// The host name when it holds two or more dots; else its reverse name unless that is `localhost`; else facter's
/// `networking.fqdn`; else the host name as it is.
pub(crate) fn identity(environment: &dyn Environment) -> Option<String> {
    let host_name = environment.host_name().filter(|name| !name.is_empty())?;
    if host_name.matches('.').count() >= 2 {
        return Some(host_name);
    }
    let usable = |name: &String| !name.is_empty() && name != "localhost";
    let reverse = environment.reverse_name(&host_name).map(|name| name.trim_end_matches('.').to_owned());
    reverse
        .filter(usable)
        .or_else(|| environment.fact("networking.fqdn").filter(|name| !name.is_empty()))
        .or(Some(host_name))
}

/// The first name on the line of `hosts`, the text of `/etc/hosts`, that holds `host_name` and an IPv4 address: what
/// reverse lookup answers where the file is asked before DNS.
pub(crate) fn canonical_name(hosts: &str, host_name: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let names: Vec<&str> = words.collect();
        let is_ours = address.is_ipv4() && names.iter().any(|name| name.eq_ignore_ascii_case(host_name));
        is_ours.then(|| names.first().map(|name| (*name).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::FixedEnvironment;

    #[test]
    fn the_name_is_found_in_the_documented_order() {
        let rows = [
            ("n1.example.net", Some("other.example.net."), Some("fact.example.net"), "n1.example.net"),
            ("n1", Some("n1.example.net."), Some("fact.example.net"), "n1.example.net"),
            ("n1.lan", Some("n1.example.net"), None, "n1.example.net"),
            ("n1", Some("localhost"), Some("fact.example.net"), "fact.example.net"),
            ("n1", Some("."), None, "n1"),
            ("n1", None, Some("fact.example.net"), "fact.example.net"),
            ("n1", None, None, "n1"),
        ];
        for (host_name, reverse, fact, wanted) in rows {
            let environment = FixedEnvironment {
                host_name: Some(host_name.to_owned()),
                reverse_name: reverse.map(str::to_owned),
                facts: fact.map(|fact| ("networking.fqdn".to_owned(), fact.to_owned())).into_iter().collect(),
                ..FixedEnvironment::default()
            };
            assert_eq!(identity(&environment).as_deref(), Some(wanted), "{host_name} {reverse:?} {fact:?}");
        }
        let nameless = FixedEnvironment { host_name: None, ..FixedEnvironment::default() };
        assert_eq!(identity(&nameless), None);
    }

    #[test]
    fn the_hosts_file_gives_the_canonical_name() {
        let hosts = "127.0.0.1 localhost\n::1 n1.ipv6 n1\n# 1.1.1.1 no.example.net n1\n\
                     127.0.1.1\tn1.example.net n1 # us\n10.0.0.1 late.example.net n1\nbroken\n10.0.0.2\n";
        let rows = [("n1", Some("n1.example.net")), ("N1", Some("n1.example.net")), ("n2", None), ("no", None)];
        for (host_name, wanted) in rows {
            assert_eq!(canonical_name(hosts, host_name).as_deref(), wanted, "{host_name}");
        }
    }
}
