//! Which error of the network becomes which number.

use crate::failure::Failure;
use crate::result::choria_result;
use network::ConnectError;
use rpc::client::{OpenError, RequestError};
use rpc::ddl::{FindError, InvalidInput, RegistryError, UnknownAction};
use rpc::discovery::DiscoveryError;
use rpc::plan::PlanError;
use security::SignError;

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let result = match &error {
            OpenError::Settings(_) => choria_result::CHORIA_INVALID_CONFIGURATION,
            OpenError::Refused { .. } => choria_result::CHORIA_UNAUTHORIZED,
            OpenError::Connect(error) => of_connect(error),
            OpenError::Signer(error) => of_request(error),
        };
        Self::of(result, &error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::of(of_request(&error), &error)
    }
}

impl From<DiscoveryError> for Failure {
    fn from(error: DiscoveryError) -> Self {
        let result = match &error {
            DiscoveryError::Request(error) => of_request(error),
            DiscoveryError::Identity(_) => choria_result::CHORIA_INVALID_ARGUMENT,
            DiscoveryError::FlatFile(_) | DiscoveryError::Inventory(_) | DiscoveryError::External(_) => {
                choria_result::CHORIA_IO
            }
            DiscoveryError::UnknownMethod { .. }
            | DiscoveryError::NotAvailable { .. }
            | DiscoveryError::NoSource
            | DiscoveryError::NoInventory => choria_result::CHORIA_INVALID_CONFIGURATION,
        };
        Self::of(result, &error)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let result = match &error {
            RegistryError::Find(FindError::NotFound { .. }) => choria_result::CHORIA_NOT_FOUND,
            RegistryError::Find(FindError::Unreadable { .. }) => choria_result::CHORIA_IO,
            RegistryError::Find(_) => choria_result::CHORIA_INVALID_CONFIGURATION,
            RegistryError::Name(_) => choria_result::CHORIA_INVALID_ARGUMENT,
            RegistryError::Service(_) | RegistryError::Malformed { .. } => choria_result::CHORIA_NOT_FOUND,
        };
        Self::of(result, &error)
    }
}

impl From<UnknownAction> for Failure {
    fn from(error: UnknownAction) -> Self {
        Self::of(choria_result::CHORIA_NOT_FOUND, &error)
    }
}

impl From<InvalidInput> for Failure {
    fn from(error: InvalidInput) -> Self {
        Self::of(choria_result::CHORIA_INVALID_REQUEST, &error)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::of(choria_result::CHORIA_INVALID_ARGUMENT, &error)
    }
}

fn of_connect(error: &ConnectError) -> choria_result {
    match error {
        ConnectError::GaveUp { failure: network::Failure::Unauthorized | network::Failure::Login(_), .. } => {
            choria_result::CHORIA_UNAUTHORIZED
        }
        ConnectError::Search(_) | ConnectError::GaveUp { .. } | ConnectError::Stopped => {
            choria_result::CHORIA_NOT_CONNECTED
        }
    }
}

fn of_request(error: &RequestError) -> choria_result {
    match error {
        RequestError::Agent(_) | RequestError::UnknownCollective { .. } => choria_result::CHORIA_INVALID_ARGUMENT,
        RequestError::FilterRequired => choria_result::CHORIA_INVALID_REQUEST,
        RequestError::Signer(_) => choria_result::CHORIA_INVALID_CONFIGURATION,
        RequestError::Sign(SignError::NoCredentials) => choria_result::CHORIA_INVALID_CONFIGURATION,
        RequestError::Sign(_) => choria_result::CHORIA_UNAUTHORIZED,
        RequestError::Subscribe(_) | RequestError::Publish(_) => choria_result::CHORIA_NOT_CONNECTED,
    }
}
