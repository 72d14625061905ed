//! The daemons' pages. Their command lines are described here a second time, because they are programs of their own; a
//! test compares the pages with what the programs say.

use super::more::{More, SERVICE_ENVIRONMENT};
use clap::{Arg, ArgAction, Command};

/// Every daemon with what stands behind its options.
pub(super) fn all() -> [(Command, More); 5] {
    [(broker(), BROKER), (server(), SERVER), (submit(), SUBMIT), (provisioner(), PROVISIONER), (aaasvc(), AAASVC)]
}

fn broker() -> Command {
    daemon("choria-broker", "Runs the Choria Broker over nats-server, which must be installed", "/etc/choria/broker.conf").long_about(
        "Runs the Choria Broker over nats-server, which must be installed\n\nThe broker writes a configuration for the \
         stock nats-server into its private runtime directory, runs it as a child, and decides who may connect and what \
         a connection may publish and subscribe to.",
    )
}

fn server() -> Command {
    daemon(
        "choria-server",
        "Stays connected to the Choria Broker and answers requests to this node",
        "/etc/choria/server.conf",
    )
    .long_about(
        "Stays connected to the Choria Broker and answers requests to this node\n\nThe server runs the agents of \
             this node for every request that is signed, fresh, meant for the node and allowed by its policies.",
    )
    .arg(
        Arg::new("identity")
            .long("identity")
            .value_name("NAME")
            .help("Name of this node as long as no configuration gives one; without it the name of the host"),
    )
    .arg(flag("service-host").help("Host only agents that are services"))
}

fn submit() -> Command {
    daemon(
        "choria-submit",
        "Takes messages of local programs into the spool",
        "/etc/choria/server.conf",
    )
    .long_about(
        "Takes messages of local programs into the spool, from which the server delivers them\n\nThe service answers \
         with an id once a message is on the disk. It works while the server is stopped or waits to be provisioned, \
         without a network and without a configuration, and starts nothing. The kernel says who calls; the setting \
         plugin.choria.submission.allow says which users may submit what.",
    )
    .arg(
        Arg::new("socket")
            .long("socket")
            .value_name("PATH")
            .help("Where to listen, unless the service manager gives a socket"),
    )
    .arg(
        Arg::new("idle-exit")
            .long("idle-exit")
            .value_name("DURATION")
            .help("End when nobody was connected for so long, such as 5m; a socket unit starts it again"),
    )
}

fn provisioner() -> Command {
    daemon(
        "choria-provisioner",
        "Gives servers without configuration theirs, as the site's helper decides",
        "/etc/choria-provisioner/choria-provisioner.yaml",
    )
    .long_about(
        "Gives servers without configuration theirs, as the site's helper decides\n\nThe provisioner finds servers that \
             have nothing but a provisioning token, asks a program of the site what they shall be, signs a token for each \
             and sends all of it to them. Several provisioners may run: with leader_election one of them works.",
    )
    .arg(
        Arg::new("command")
            .value_name("COMMAND")
            .help("The word `run`, the only command and the default"),
    )
    .arg(
        Arg::new("choria-config")
            .long("choria-config")
            .value_name("FILE")
            .help("Choria configuration file; searched for as the choria command does unless given"),
    )
    .arg(flag("no-debug").help("Log as the configuration file says, whatever an earlier --debug says"))
}

fn aaasvc() -> Command {
    let command = Arg::new("command").value_name("COMMAND").required(true);
    let words =
        "`run` runs the service; `crypt` prints a bcrypt hash for each password on standard input and takes no options";
    daemon("choria-aaasvc", "Logs people in and signs their requests", "/etc/choria/aaasvc.json")
        .long_about(
            "Logs people in and signs their requests\n\nThe service gives tokens for names and passwords over HTTPS, and signs \
             requests of their holders over HTTPS and as the RPC service aaa_signer, if its policies allow them. Each decision is \
             audited.",
        )
        .arg(command.help(words))
        .arg(
            Arg::new("idle-exit")
                .long("idle-exit")
                .value_name("DURATION")
                .help("End when nobody was connected for so long, such as 10m; the socket unit starts it at the next login"),
        )
}

/// What all have.
fn daemon(name: &'static str, about: &'static str, config: &'static str) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .arg(Arg::new("config").long("config").value_name("FILE").default_value(config).help("Configuration file"))
        .arg(Arg::new("pid").long("pid").value_name("FILE").help("Write the process number to this file while running"))
        .arg(flag("debug").help("Log debug messages, to the journal or standard error"))
        .after_help(EXIT_CODES)
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it was told to stop, and did
  1  it could not start, or a part of it failed; the log says why";

const BROKER: More = More {
    environment: &[
        ("CHORIA_NATS_SERVER", "The program `nats-server`, where it is not on the path."),
        (
            "RUNTIME_DIRECTORY",
            "Where the private directory is made, set by `systemd`(1); else that for temporary files.",
        ),
        SERVICE_ENVIRONMENT[0],
        SERVICE_ENVIRONMENT[1],
        SERVICE_ENVIRONMENT[2],
    ],
    files: &[
        ("/etc/choria/broker.conf", "The configuration, see `choria.conf`(5)."),
        ("/etc/choria/plugin.d/*.cfg", "More configuration, one file for each plugin."),
        ("$RUNTIME_DIRECTORY", "The configuration of nats-server and its secrets, made anew at each start."),
    ],
    examples: &[
        (
            "Check the configuration, then start it in a terminal:",
            "choria tool config --check --config /etc/choria/broker.conf\nchoria-broker --config /etc/choria/broker.conf",
        ),
        ("Start it at boot:", "systemctl enable --now choria-broker"),
    ],
    see_also: &["choria(1)", "choria-server(8)", "choria.conf(5)", "systemctl(1)"],
};

const SERVER: More = More {
    environment: SERVICE_ENVIRONMENT,
    files: &[
        ("/etc/choria/server.conf", "The configuration, see `choria.conf`(5)."),
        ("/etc/choria/plugin.d/*.cfg", "More configuration, one file for each plugin."),
        (
            "/etc/choria/provisioning.jwt",
            "The provisioning token, unless there is one beside the configuration: with it a node without configuration \
             waits to be provisioned.",
        ),
        ("plugin.choria.status_file_path", "The setting that names the status file, read by `choria tool status`."),
    ],
    examples: &[
        (
            "Check the configuration, then start it in a terminal:",
            "choria tool config --check --config /etc/choria/server.conf\nchoria-server --config /etc/choria/server.conf",
        ),
        ("Start it at boot:", "systemctl enable --now choria-server"),
        (
            "Ask whether it is well, as monitoring systems do:",
            "choria tool status --status-file /var/lib/choria/status.json --format nagios",
        ),
    ],
    see_also: &["choria(1)", "choria-tool-status(1)", "choria-broker(8)", "choria.conf(5)", "systemctl(1)"],
};

const SUBMIT: More = More {
    environment: &[
        ("LISTEN_FDS, LISTEN_FDNAMES", "The socket named `varlink`, given by `systemd`(1)."),
        SERVICE_ENVIRONMENT[0],
        SERVICE_ENVIRONMENT[1],
    ],
    files: &[
        ("/etc/choria/server.conf", "The server's configuration, see `choria.conf`(5); it need not exist."),
        ("/run/choria/submit.sock", "The socket, `io.choria.Submission` in Varlink."),
        ("/var/spool/choria/submission", "The spool, unless plugin.choria.submission.spool names another."),
    ],
    examples: &[
        ("Take messages from now on, and after each boot:", "systemctl enable --now choria-submit.socket"),
        ("Which calls are there?", "varlinkctl introspect /run/choria/submit.sock io.choria.Submission"),
        (
            "What waits, and what was refused?",
            "varlinkctl call /run/choria/submit.sock io.choria.Submission.Status '{}'",
        ),
        ("Try it in a terminal, without root:", "choria-submit --config ./server.conf --socket ./submit.sock --debug"),
    ],
    see_also: &["choria(1)", "choria-tool-submit(1)", "choria-server(8)", "choria.conf(5)", "systemctl(1)"],
};

const PROVISIONER: More = More {
    environment: SERVICE_ENVIRONMENT,
    files: &[
        (
            "/etc/choria-provisioner/choria-provisioner.yaml",
            "The provisioner's own configuration, YAML or JSON; \
             its comments explain each key.",
        ),
        (
            "/etc/choria-provisioner/choria.cfg",
            "The Choria configuration: brokers, token and seed, see `choria.conf`(5).",
        ),
        ("/usr/share/doc/choria-provisioner/helpers", "Sample helpers in shell and Python."),
    ],
    examples: &[
        (
            "Try a configuration in a terminal:",
            "choria-provisioner --debug --config choria-provisioner.yaml --choria-config choria.cfg",
        ),
        (
            "Make the token and the seed that it needs, with the organization's seed:",
            "choria jwt keys signer.seed signer.public\nchoria jwt client signer.jwt provisioner_signer issuer.seed \\\n  --public-key $(cat signer.public) --server-provisioner --issuer --validity 365d",
        ),
        ("Start it at boot:", "systemctl enable --now choria-provisioner"),
    ],
    see_also: &["choria(1)", "choria-server(8)", "choria-broker(8)", "choria.conf(5)", "systemctl(1)"],
};

const AAASVC: More = More {
    environment: SERVICE_ENVIRONMENT,
    files: &[
        ("/etc/choria/aaasvc.json", "The configuration: JSON, as the existing AAA service has it."),
        ("choria_config", "The key of it that names the configuration of the connection, see `choria.conf`(5)."),
    ],
    examples: &[
        ("Make a hash for the list of users; the password is asked for:", "choria-aaasvc crypt"),
        ("Start it in a terminal:", "choria-aaasvc run --config /etc/choria/aaasvc.json"),
    ],
    see_also: &["choria(1)", "choria-server(8)", "choria.conf(5)", "systemctl(1)"],
};
