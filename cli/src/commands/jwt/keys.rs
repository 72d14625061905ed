//! `choria jwt keys` (spec 09 §10.4).

use anyhow::{Context, bail};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokens::{Seed, write_private};

#[derive(clap::Args, Debug)]
pub(super) struct Keys {
    /// The file to write the private seed to
    seed_file: PathBuf,
    /// The file to write the public key to
    public: Option<PathBuf>,
    /// Overwrite an existing seed file without asking
    #[arg(short, long)]
    force: bool,
    /// Show the public key of an existing seed file instead of making a new one
    #[arg(long)]
    show_public: bool,
}

impl Keys {
    /// Makes or shows a key.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let seed_file = self.seed_file.as_path();
        if self.show_public {
            println!("Public Key: {}", Seed::read(seed_file)?.public());
            return Ok(ExitCode::SUCCESS);
        }
        if seed_file.exists() && !self.force && !confirm_overwriting(seed_file)? {
            println!("Skipping");
            return Ok(ExitCode::SUCCESS);
        }
        let seed = Seed::generate();
        seed.write(seed_file)?;
        if let Some(file) = &self.public {
            write_private(file, seed.public().to_string().as_bytes())?;
        }
        println!("Public Key: {}\n", seed.public());
        println!("Ed25519 seed saved in {}", seed_file.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether the user wants to lose the old seed.
fn confirm_overwriting(file: &Path) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{} exists: use --force to overwrite it", file.display());
    }
    inquire::Confirm::new(&format!("Really overwrite {}", file.display()))
        .with_default(false)
        .prompt()
        .with_context(|| format!("{} was not overwritten", file.display()))
}
