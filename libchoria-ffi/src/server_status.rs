//! This machine's server, through its socket.

use crate::boundary::boundary;
use crate::failure::Failure;
use crate::handle::slot;
use crate::result::choria_result;
use crate::runtime::Quiet;
use crate::text::{give_text, optional_text};
use local::server::{Client, SOCKET};
use local::varlink::{CallError, ConnectError};
use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status of this machine's server as a JSON object, to be freed with `choria_string_free`. `socket` NULL is
/// /run/choria/server.sock. `CHORIA_UNAVAILABLE` when no server listens there, `CHORIA_REFUSED`, `CHORIA_IO`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_server_status(socket: *const c_char, json: *mut *mut c_char) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (socket, json) = unsafe { (optional_text("socket", socket)?, slot("json", json)?) };
        let socket = Path::new(socket.unwrap_or(SOCKET));
        let status = Quiet::broken_pipes(|| Client::connect(socket, PATIENCE)?.status().map_err(Failure::from))?;
        let text =
            serde_json::to_string(&status).map_err(|error| Failure::of(choria_result::CHORIA_INTERNAL, &error))?;
        give_text(json, &text);
        Ok(())
    })
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let result = match &error {
            ConnectError::Absent { .. } => choria_result::CHORIA_UNAVAILABLE,
            ConnectError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                choria_result::CHORIA_REFUSED
            }
            ConnectError::Io { .. } => choria_result::CHORIA_IO,
        };
        Self::of(result, &error)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let result = match &error {
            CallError::Error(reply) if reply.name.ends_with(".Refused") => choria_result::CHORIA_REFUSED,
            CallError::Error(_) => choria_result::CHORIA_UNAVAILABLE,
            CallError::Protocol(_) | CallError::Io(_) => choria_result::CHORIA_IO,
        };
        Self::of(result, &error)
    }
}
