//! The manual page choria.conf(5), made from the table of keys.

/// The manual page choria.conf(5) in roff.
#[must_use]
pub fn man_page() -> String {
    String::new()
}
