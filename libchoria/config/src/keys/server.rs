//! Provisioning, status, submission and long running jobs: parts of a server that are turned on by a setting (spec 04b §5).

use crate::key::{Boolean, CommaList, Integer, PathText, Text};
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

    SUBMISSION_MAX_SPOOL_BYTES: Integer = key("plugin.choria.submission.max_spool_bytes",
        "Most bytes that all messages in the spool have together, as files; a message that would be too much is \
         refused when it is handed in.")
        .default("67108864").rule(Rule::Between(1, i64::MAX)).own();

    SUBMISSION_MAX_MESSAGE_SIZE: Integer = key("plugin.choria.submission.max_message_size",
        "Most bytes of one message's payload. The broker has a limit of its own, 1 MiB unless it is configured.")
        .default("1048576").rule(Rule::Between(1, 8_388_608)).own();

    SUBMISSION_ALLOW: CommaList = key("plugin.choria.submission.allow",
        "Who may submit to which subjects through the socket: a list of `WHO SUBJECT`, where WHO is `*`, a user's name \
         or number or `%` and a group's, and SUBJECT may hold the wildcards `*` and `>`. Root and the owner of the \
         spool may always.")
        .default("* local.>").own();

    SUBMISSION_SOCKET: PathText = key("plugin.choria.submission.socket",
        "Socket of the service that takes submitted messages.")
        .default(crate::build::SUBMIT_SOCKET).own();

    LOCAL_SOCKET: PathText = key("plugin.choria.local_socket",
        "Socket on which the server answers local tools, `/run/choria/server.sock` for example. Unset: only a socket that \
         the service manager gives. Counts after a restart.").own();

    LOG_CALLS: Boolean = key("plugin.choria.log_calls",
        "Whether the log has a record of each call that was served, level info, with request, caller, sender, agent, \
         action, status and time as fields of their own. Calls that were denied are logged in any case. Counts after a \
         restart.")
        .default("true").own();

    LOCAL_SOCKET_FACTS_GROUP: Text = key("plugin.choria.local_socket.facts_group",
        "Group whose members may ask the server for this node's facts through its socket, beside root and the \
         server's own user.").own();

    EXECUTOR_ENABLED: Boolean = key("plugin.choria.executor.enabled",
        "Whether long running jobs and their agent are available.")
        .default("false");

    EXECUTOR_SPOOL: PathText = key("plugin.choria.executor.spool",
        "Directory that holds the state of long running jobs.");

}
