//! The report of what is in force: files, security, connectivity, and what the files say.

use super::surroundings::{Facter, Security, Surroundings};
use crate::output::colour::{Colour, Palette};
use config::{Place, Settings, keys, shown};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Everything that the report shows.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// The file that client commands read when they are given none.
    pub(super) user_config: &'a Path,
    /// What is in force.
    pub(super) settings: &'a Settings,
    /// What was found outside the files.
    pub(super) surroundings: &'a Surroundings,
    /// Colours.
    pub(super) palette: Palette,
}

impl Report<'_> {
    /// Writes the report; `hint` says how to learn about keys.
    pub(super) fn write(&self, out: &mut impl Write, hint: bool) -> io::Result<()> {
        writeln!(
            out,
            "This is the active Choria configuration as resolved from\nits configuration files and defaults.\n"
        )?;
        if hint {
            writeln!(out, "Details about configuration items can be seen by passing an")?;
            writeln!(out, "extra argument that will act as a search term against known")?;
            writeln!(out, "configuration items.\n")?;
        }
        writeln!(out, "Configuration Files: \n")?;
        line(out, "User Config", self.user_config.display())?;
        lines(out, "Loaded Files", self.settings.files().iter().map(|file| file.display()))?;
        writeln!(out, "\nSecurity Configuration: \n")?;
        self.security(out)?;
        writeln!(out, "\nConnectivity:\n")?;
        self.connectivity(out)?;
        writeln!(out, "\nLoaded Configuration:\n")?;
        writeln!(out, "  These settings were specifically loaded from configuration")?;
        writeln!(out, "  files and do not include any defaults.\n")?;
        self.loaded(out)?;
        writeln!(out)
    }

    fn security(&self, out: &mut impl Write) -> io::Result<()> {
        let settings = self.settings;
        let Security { errors, caller, certificate_name } = &self.surroundings.security;
        if settings.get(keys::SECURITY_CLIENT_ANON_TLS) {
            line(out, "Security Provider", "Using Anonymous TLS")?;
        } else {
            line(out, "Security Provider", title(settings.provider()))?;
            let valid = if errors.is_empty() { (Colour::Green, "yes") } else { (Colour::Red, "no") };
            line(out, "Valid Security", self.palette.paint(valid.0, valid.1))?;
            lines(out, "Security Errors", errors)?;
        }
        line(out, "Caller ID", caller)?;
        line(out, "Certname", certificate_name)?;
        if let Some(driver) = settings.get(keys::SECURITY_PKCS11_DRIVER_FILE) {
            line(out, "PKCS11 Driver", self.presence(&driver))?;
            line(out, "PKCS11 Slot", settings.get(keys::SECURITY_PKCS11_SLOT))?;
        }
        let files = [
            ("Certificate", keys::SECURITY_FILE_CERTIFICATE),
            ("Key", keys::SECURITY_FILE_KEY),
            ("CA", keys::SECURITY_FILE_CA),
        ];
        for (label, key) in files {
            if let Some(path) = settings.get(key) {
                line(out, label, self.presence(&path))?;
            }
        }
        if settings.get(keys::SECURITY_REQUEST_SIGNER_SERVICE) {
            line(out, "Request Signer", "Choria AAA Service")?;
        } else if let Some(url) = settings.get(keys::SECURITY_REQUEST_SIGNER_URL) {
            line(out, "Request Signer", url)?;
        }
        if let Some(token) = settings.get(keys::SECURITY_REQUEST_SIGNER_TOKEN_FILE) {
            line(out, "Token File", token.display())?;
        }
        Ok(())
    }

    fn connectivity(&self, out: &mut impl Write) -> io::Result<()> {
        let settings = self.settings;
        let Surroundings { facter, puppet_db, brokers, federation, .. } = self.surroundings;
        line(out, "Main Collective", settings.main_collective())?;
        line(out, "Collectives", settings.get(keys::COLLECTIVES).join(", "))?;
        let registry = settings.get(keys::SERVICES_REGISTRY_CACHE);
        line(out, "Service Registry", registry.map_or("disabled".into(), |path| path.display().to_string()))?;
        let uses_srv = settings.get(keys::USE_SRV);
        let domain = settings.get(keys::SRV_DOMAIN).unwrap_or_default();
        line(out, "SRV Domain", if uses_srv { domain } else { "not enabled" })?;
        if let Some(Facter { command, domain, name }) = facter {
            line(out, "Facter Command", command)?;
            line(out, "Facter Domain", domain)?;
            line(out, "Facter FQDN", name)?;
        }
        line(out, "PuppetDB Server", puppet_db)?;
        line(out, "Choria Brokers", shown(keys::MIDDLEWARE_HOSTS.name(), brokers))?;
        let Some(federation) = federation else { return line(out, "Federation Brokers", "not federated") };
        line(out, "Federation Brokers", federation)?;
        line(out, "Collectives", settings.get(keys::FEDERATION_COLLECTIVES).join(", "))
    }

    /// What the files say, sorted by key, secrets hidden.
    fn loaded(&self, out: &mut impl Write) -> io::Result<()> {
        let mut given = self.settings.raw_starting_with("");
        given.retain(|key, _| self.settings.place(key) != Some(Place::Program));
        let width = given.keys().map(|key| key.chars().count()).max().unwrap_or_default() + 2;
        given.iter().try_for_each(|(key, text)| writeln!(out, "{key:>width$}: {}", shown(key, text)))
    }

    fn presence(&self, path: &Path) -> String {
        let (colour, word) = if path.exists() { (Colour::Green, "found") } else { (Colour::Red, "absent") };
        format!("{} ({})", path.display(), self.palette.paint(colour, word))
    }
}

/// One line, its label right-aligned.
fn line(out: &mut impl Write, label: &str, text: impl Display) -> io::Result<()> {
    writeln!(out, "{label:>22}: {text}")
}

/// One line for each text below a single label; nothing for no text.
fn lines<T: Display>(out: &mut impl Write, label: &str, texts: impl IntoIterator<Item = T>) -> io::Result<()> {
    for (position, text) in texts.into_iter().enumerate() {
        if position == 0 { line(out, label, text)? } else { writeln!(out, "{:24}{text}", "")? }
    }
    Ok(())
}

/// `word` with a capital letter.
fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
