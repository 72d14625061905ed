//! `choria election info`: a bucket and its elections.

use super::{PATIENCE, Surroundings, explain};
use crate::duration::render_go;
use crate::output::table::Table;
use crate::session::block_on;
use anyhow::Context;
use network::election::BucketInfo;
use regex::Regex;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

#[derive(clap::Args, Debug)]
pub(super) struct Info {
    /// Show elections whose names match this expression only
    #[arg(value_name = "REGEX")]
    election: Option<Regex>,
}

impl Info {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<ExitCode> {
        let (info, leaders) = block_on(async {
            let (_connection, bucket) = surroundings.bucket().await?;
            let info = bucket.info_with_keys().await?;
            let mut leaders = Vec::new();
            let mut names = info.keys.clone();
            names.sort();
            for name in names.iter().filter(|name| self.election.as_ref().is_none_or(|wanted| wanted.is_match(name))) {
                let entry = bucket.get(name, PATIENCE).await.map_err(explain);
                let entry = entry.with_context(|| format!("the leader of election {name} cannot be read"))?;
                if let Some(entry) = entry.filter(|entry| !entry.deleted) {
                    leaders.push((name.clone(), String::from_utf8_lossy(&entry.value).into_owned()));
                }
            }
            Ok((info, leaders))
        })?;
        let mut out = io::stdout().lock();
        write(&mut out, &surroundings.bucket, &info, &leaders)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write(out: &mut impl Write, bucket: &str, info: &BucketInfo, leaders: &[(String, String)]) -> io::Result<()> {
    for warning in warnings(bucket, info) {
        writeln!(out, "WARNING: {warning}\n")?;
    }
    let storage = match info.storage.as_str() {
        "memory" => "Memory",
        _ => "File",
    };
    let created = OffsetDateTime::parse(&info.created, &Rfc3339).ok().and_then(|created| {
        let layout = format_description!(
            "[day] [month repr:short] [year repr:last_two] [hour]:[minute] [offset_hour sign:mandatory][offset_minute]"
        );
        created.format(&layout).ok()
    });
    writeln!(out, "Election bucket information for {bucket}\n")?;
    writeln!(out, "       Created: {}", created.as_deref().unwrap_or(&info.created))?;
    writeln!(out, "       Storage: {storage}")?;
    writeln!(out, "  Maximum Time: {}", render_go(info.max_age))?;
    writeln!(out, "      Replicas: {}", replicas(info))?;
    writeln!(out, "     Elections: {}\n", leaders.len())?;
    if leaders.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["Election", "Leader"]).titled("Active Elections".to_owned());
    leaders.iter().for_each(|(election, leader)| table.row(&[election, leader]));
    table.write(out)
}

fn warnings(bucket: &str, info: &BucketInfo) -> Vec<String> {
    let age = render_go(info.max_age);
    let mut warnings = Vec::new();
    if info.history != 1 {
        warnings.push(format!("{bucket} is not a valid election bucket, historic entries are retained"));
    }
    if info.max_age < Duration::from_secs(5) && !info.max_age.is_zero() {
        warnings.push(format!("{bucket} is not a valid election bucket, maximum age {age} is too low"));
    } else if info.max_age > Duration::from_secs(3600) || info.max_age.is_zero() {
        warnings.push(format!("{bucket} is not a valid election bucket, maximum age {age} is too high"));
    } else if info.max_age > Duration::from_secs(60) {
        warnings.push(format!("{bucket} has a very high maximum age of {age}, recovery time will be slow"));
    }
    if info.clustered {
        if info.leader.is_none() {
            warnings.push(format!("{bucket} does not have a cluster leader"));
        }
        for peer in &info.peers {
            if peer.offline {
                warnings.push(format!("Replica peer {} is offline", peer.name));
            }
            if !peer.current {
                warnings.push(format!("Replica peer {} is not current with {} replication lag", peer.name, peer.lag));
            }
        }
    }
    warnings
}

/// `1`, or `3 on hosts b1*, b2, b3` without the domain that all share; the leader first, with a star.
fn replicas(info: &BucketInfo) -> String {
    let leader = info.leader.as_deref();
    let hosts: Vec<&str> = leader.into_iter().chain(info.peers.iter().map(|peer| peer.name.as_str())).collect();
    if info.replicas <= 1 || hosts.is_empty() {
        return info.replicas.to_string();
    }
    let domain = |host: &str| host.split_once('.').map(|(_, domain)| domain.to_owned());
    let first = domain(hosts[0]);
    let shared = first.filter(|first| hosts.iter().all(|host| domain(host).as_ref() == Some(first)));
    let short = |host: &str| match &shared {
        Some(domain) => host.trim_end_matches(domain.as_str()).trim_end_matches('.').to_owned(),
        None => host.to_owned(),
    };
    let mut names: Vec<String> = hosts.iter().map(|host| short(host)).collect();
    if let (Some(_), Some(first)) = (leader, names.first_mut()) {
        first.push('*');
    }
    let start = usize::from(leader.is_some());
    names[start..].sort();
    format!("{} on hosts {}", info.replicas, names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use network::election::Peer;

    fn info() -> BucketInfo {
        BucketInfo {
            created: "2026-11-21T08:52:03.1234Z".to_owned(),
            max_age: Duration::from_secs(60),
            storage: "file".to_owned(),
            replicas: 1,
            history: 1,
            leader: None,
            clustered: false,
            peers: Vec::new(),
            keys: Vec::new(),
        }
    }

    fn peer(name: &str, offline: bool, lag: u64) -> Peer {
        Peer { name: name.to_owned(), offline, current: lag == 0, lag }
    }

    #[test]
    fn a_bucket_is_laid_out_as_recorded() {
        let path = vectors::root().join("cli/election-info.stdout.txt");
        let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut out = Vec::new();
        let leaders = [("TESTEL".to_owned(), "client.choria.local".to_owned())];
        write(&mut out, "CHORIA_LEADER_ELECTION", &info(), &leaders).expect("written");
        assert_eq!(String::from_utf8(out).expect("text"), wanted);
    }

    #[test]
    fn members_are_named_without_what_they_share() {
        let clustered = |leader: Option<&str>, peers: &[&str]| BucketInfo {
            replicas: 3,
            clustered: true,
            leader: leader.map(str::to_owned),
            peers: peers.iter().map(|name| peer(name, false, 0)).collect(),
            ..info()
        };
        let rows = [
            (info(), "1"),
            (clustered(Some("b1.example.net"), &["b3.example.net", "b2.example.net"]), "3 on hosts b1*, b2, b3"),
            (clustered(Some("b2.a"), &["b1.b", "b3.a"]), "3 on hosts b2.a*, b1.b, b3.a"),
            (clustered(Some("b2"), &["b1", "b3"]), "3 on hosts b2*, b1, b3"),
            (clustered(None, &["b2", "b1"]), "3 on hosts b1, b2"),
        ];
        for (info, expected) in rows {
            assert_eq!(replicas(&info), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_bucket_is_told_first() {
        let aged = |seconds| BucketInfo { max_age: Duration::from_secs(seconds), ..info() };
        let ill = BucketInfo { clustered: true, replicas: 3, peers: vec![peer("b2", true, 7)], ..info() };
        let rows: [(BucketInfo, &[&str]); 7] = [
            (info(), &[]),
            (aged(4), &["B is not a valid election bucket, maximum age 4s is too low"]),
            (aged(3601), &["B is not a valid election bucket, maximum age 1h0m1s is too high"]),
            (aged(0), &["B is not a valid election bucket, maximum age 0s is too high"]),
            (aged(61), &["B has a very high maximum age of 1m1s, recovery time will be slow"]),
            (BucketInfo { history: 5, ..info() }, &["B is not a valid election bucket, historic entries are retained"]),
            (
                ill,
                &[
                    "B does not have a cluster leader",
                    "Replica peer b2 is offline",
                    "Replica peer b2 is not current with 7 replication lag",
                ],
            ),
        ];
        for (info, expected) in rows {
            assert_eq!(warnings("B", &info), expected);
        }
    }
}
