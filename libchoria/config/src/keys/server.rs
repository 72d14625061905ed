//! Provisioning, status, submission and long running jobs: parts of a server that are turned on by a setting (spec 04b §5).

use crate::key::{Boolean, Integer, PathText};
use crate::rule::Rule;

keys! {
    "Provisioning, status, submission and long running jobs";

    SERVER_PROVISION: Boolean = key("plugin.choria.server.provision",
        "Turns provisioning of this server on or off. Whether the key is present matters, not only its \
         value: without it the provisioning token decides.")
        .default("false").url("https://choria-io.github.io/provisioner/");

    SERVER_PROVISION_ALLOW_UPDATE: Boolean = key("plugin.choria.server.provision.allow_update",
        "Whether the provisioner may replace the program by another version.")
        .default("false").url("https://choria-io.github.io/provisioner/");

    STATUS_FILE_PATH: PathText = key("plugin.choria.status_file_path",
        "File to which a server writes its status as JSON; unset writes none.");

    STATUS_UPDATE_INTERVAL: Integer = key("plugin.choria.status_update_interval",
        "Seconds between two writes of the status file; 0 writes none.")
        .default("30").rule(Rule::Between(0, i64::MAX));

    LEGACY_LIFECYCLE_FORMAT: Boolean = key("plugin.choria.legacy_lifecycle_format",
        "Whether lifecycle events are published in the format used before CloudEvents.")
        .default("0");

    PROMETHEUS_TEXTFILE_DIRECTORY: PathText = key("plugin.choria.prometheus_textfile_directory",
        "Directory in which autonomous agents write metrics for the node exporter of Prometheus.");

    SUBMISSION_SPOOL: PathText = key("plugin.choria.submission.spool",
        "Directory that holds submitted messages until they are delivered; setting it enables message \
         submission.");

    SUBMISSION_MAX_SPOOL_SIZE: Integer = key("plugin.choria.submission.max_spool_size",
        "Most messages of one priority that the spool holds.")
        .default("500").rule(Rule::Between(1, i64::MAX));

    EXECUTOR_ENABLED: Boolean = key("plugin.choria.executor.enabled",
        "Whether long running jobs and their agent are available.")
        .default("false");

    EXECUTOR_SPOOL: PathText = key("plugin.choria.executor.spool",
        "Directory that holds the state of long running jobs.");

}
