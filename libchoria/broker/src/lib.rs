//! The broker role: a stock nats-server run as a child, and the answers to its questions about connections (spec 10).
//!
//! | module | holds |
//! |---|---|
//! | `permissions` | which subjects a token gives; pure |
//! | `decision` | who may connect; pure |
//! | `callout` | the same, as nats-server asks it over NATS |
//! | `nats_config` | nats-server's configuration file; pure |
//! | `child` | running nats-server |
//! | `certificates` | a certificate where none is configured |
//! | `listener_files` | the copies of certificates that nats-server reads, so that a bad replacement changes nothing |
//! | `own_identity` | a client certificate of this process, where a listener demands one |
//! | `renewal` | noticing a replaced certificate or program |
//! | `peers` | who the other members of the cluster are |
//! | `configure` | nats-server's configuration for one run |
//! | `streams` | the standard streams, set up and watched |
//! | `storage` | whether the disk of the streams has room |
//! | `readiness` | connecting like a member of the fleet, to know that all of it works |
//! | `settings` | the configuration a broker needs, checked |
//! | `departures` | records of connections that end |
//! | `sessions` | which connection speaks for which node that waits to be provisioned; pure |
//! | `roll_call` | what nats-servers tell about those connections |
//! | `reload` | changed configuration put in force while all of it runs |
//! | `front` | the TLS front, which may stand before nats-server |
//! | `adapters` | messages of the fleet written to streams |
//! | `admission` | how many connections may begin in one second |
//! | `run` | one run of nats-server with all that belongs to it |
//! | `broker` | all of it together: [`Broker::build`], [`Broker::start`], [`Running`] |
//! | `surroundings` | directories and programs of the machine |
//! | `program` | [`run`], what `choria-broker` and `choria broker run` have in common |
//! | `metrics` | what a broker counts |
//! | `monitoring` | nats-server's own monitoring: figures, and its pages without credentials |
//! | `exporter` | all of that on the statistics endpoint |
//!
//! Without the TLS front nothing of the fleet's messages passes through this process: nats-server carries them alone.

mod adapters;
mod admission;
mod broker;
pub mod callout;
mod certificates;
mod child;
mod configure;
pub mod decision;
mod departures;
mod exporter;
pub mod front;
mod internal;
mod listener_files;
mod metrics;
mod monitoring;
pub mod nats_config;
mod own_identity;
mod peers;
pub mod permissions;
mod program;
mod readiness;
mod reload;
mod renewal;
mod roll_call;
mod run;
mod sessions;
mod settings;
mod storage;
mod streams;
mod surroundings;

pub use broker::{Broker, BrokerError, BuildError, Running, Status};
pub use certificates::CertificateError;
pub use child::{Program, ProgramError, Version};
pub use exporter::Exporter;
pub use internal::InternalError;
pub use metrics::{Metrics, Snapshot};
pub use nats_config::{CalloutKeys, NatsConfig, TlsConfig};
pub use own_identity::IdentityError;
pub use program::{Arguments, run};
pub use readiness::CheckError;
pub use reload::{Changes, ReloadError, Reloader};
pub use run::StartError;
pub use settings::{Settings, SettingsError};
pub use streams::{StreamConfig, standard_streams};
pub use surroundings::Surroundings;
