//! `choria tool provisioner`: where a server would be provisioned from (spec 06 §11.4).

use crate::Global;
use crate::session::block_on;
use anyhow::Context;
use std::io::{self, Write};
use std::process::ExitCode;

/// Nothing but the server's configuration, which `--config` names.
#[derive(clap::Args, Debug)]
pub(crate) struct ProvisionerArguments {}

/// Finds the brokers as a server would.
///
/// # Errors
/// When the server would not be provisioned, or no broker can be found.
pub(crate) fn run(_: &ProvisionerArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config.as_deref().context("please specify the server configuration using --config")?;
    if !config.exists() {
        eprintln!("choria: warning: {} does not exist, using the defaults of a server", config.display());
    }
    println!("Attempting provisioner resolution using: Choria JWT Resolver");
    let found = block_on(async { Ok(server::provisioning::targets(config).await?) })?;
    write(&mut io::stdout().lock(), &found)?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, brokers: &[impl std::fmt::Display]) -> io::Result<()> {
    writeln!(out, "Provisioning using {} broker(s):\n", brokers.len())?;
    brokers.iter().try_for_each(|broker| writeln!(out, "\t{broker}"))?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_listed_as_known() {
        let mut out = Vec::new();
        write(&mut out, &["nats://b1.example.net:4222", "nats://b2.example.net:4222"]).expect("written");
        let wanted =
            "Provisioning using 2 broker(s):\n\n\tnats://b1.example.net:4222\n\tnats://b2.example.net:4222\n\n";
        assert_eq!(String::from_utf8(out).expect("text"), wanted);
    }
}
