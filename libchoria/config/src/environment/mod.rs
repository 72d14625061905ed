//! The world outside as the configuration sees it: variables, the host's name, the home directory, files.

mod fixed;
mod host_name;
mod system;

pub use fixed::FixedEnvironment;
pub(crate) use host_name::identity;
pub use system::SystemEnvironment;

use std::io;
use std::path::{Path, PathBuf};

/// What reading a configuration asks of its surroundings. Programs use [`SystemEnvironment`], tests and embedding
/// programs a [`FixedEnvironment`].
pub trait Environment {
    /// The value of an environment variable; `None` when it is unset, empty or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The home directory of the user this process runs as.
    fn home(&self) -> Option<PathBuf>;

    /// The directory in which relative paths start.
    ///
    /// # Errors
    /// When it was removed.
    fn working_directory(&self) -> io::Result<PathBuf>;

    /// The host's own name, with or without a domain.
    fn host_name(&self) -> Option<String>;

    /// The name that reverse lookup gives the first IPv4 address of `host_name`. May wait for DNS.
    fn reverse_name(&self, host_name: &str) -> Option<String>;

    /// The value of one fact from facter. May run a program for some seconds.
    fn fact(&self, name: &str) -> Option<String>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names of the files in a directory, in any order.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn list_directory(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Whether a file of this name exists.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether a project file may be read: it belongs to root or to the user this process runs for, and nobody else
    /// may write it. Project files can name programs to run, and a shared directory such as `/tmp` is a working
    /// directory like any other.
    fn trusts(&self, path: &Path) -> bool;
}
