//! What the manual says of each command behind its options.

/// The sections behind the options of one page; words in backquotes are bold.
#[derive(Clone, Copy, Debug)]
pub(super) struct More {
    /// Variables.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Files.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// What somebody wants, and the commands for it.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Other pages.
    pub(super) see_also: &'static [&'static str],
}

/// What stands behind the options of the command called `name`, as in `choria-req`.
pub(super) fn of(name: &str) -> More {
    let examples = EXAMPLES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, examples)| examples);
    let see_also: &[&str] = match name {
        "choria" => &["choria-broker(8)", "choria-server(8)", "choria.conf(5)"],
        "choria-server" | "choria-server-run" => &["choria(1)", "choria-server(8)", "choria.conf(5)"],
        "choria-broker" | "choria-broker-run" => &["choria(1)", "choria-broker(8)", "choria.conf(5)"],
        "choria-tool-status" => &["choria(1)", "choria-server(8)", "choria.conf(5)"],
        _ => &["choria(1)", "choria.conf(5)"],
    };
    if ASK_NOBODY.iter().any(|prefix| name == *prefix || name.starts_with(&format!("{prefix}-"))) {
        return More { environment: &[], files: &[], examples, see_also };
    }
    More { environment: CLIENT_ENVIRONMENT, files: CLIENT_FILES, examples, see_also }
}

/// Commands that read no configuration.
const ASK_NOBODY: &[&str] = &["choria-jwt", "choria-buildinfo", "choria-tool-status", "choria-emulate"];

const CLIENT_ENVIRONMENT: &[(&str, &str)] = &[
    ("CHORIA_CONFIG", "The configuration file, where `--config` does not name one."),
    ("USER", "Who the user is, where the token does not say it."),
    ("HOME", "Where `.choriarc` is looked for."),
    ("NO_COLOR", "Any text but the empty one turns colours off, as does `TERM=dumb`."),
    ("CHORIA_FED_COLLECTIVE", "Collectives to ask through federation brokers, separated by commas."),
];

/// Variables of the daemons.
pub(super) const SERVICE_ENVIRONMENT: &[(&str, &str)] = &[
    ("NOTIFY_SOCKET", "Where readiness and the status line are told, set by `systemd`(1)."),
    ("WATCHDOG_USEC", "How often a sign of life is given, set by `systemd`(1)."),
    ("CREDENTIALS_DIRECTORY", "Secrets handed over by `systemd`(1)."),
];

const CLIENT_FILES: &[(&str, &str)] = &[
    ("~/.choriarc, ~/.mcollective", "The user's own configuration; the first file that exists is read."),
    ("/etc/choria/client.conf", "The configuration of all users, read when a user has none."),
    ("choria.conf", "Project files in the working directory and those above it; later ones win."),
];

type Examples = &'static [(&'static str, &'static str)];

const EXAMPLES: &[(&str, Examples)] = &[
    (
        "choria",
        &[
            ("Who is there?", "choria ping"),
            ("What does a node say about itself?", "choria inventory n1.example.net"),
            (
                "Have a package's version reported by all web servers:",
                "choria req package status package=nginx -C roles::web",
            ),
        ],
    ),
    ("choria-broker", &[("Run a broker in a terminal:", "choria broker run --config /etc/choria/broker.conf")]),
    ("choria-broker-run", &[("Run a broker in a terminal:", "choria broker run --config /etc/choria/broker.conf")]),
    (
        "choria-broker-stream",
        &[
            (
                "Keep everything that servers submit:",
                "choria broker stream add SUBMIT --subjects 'choria.submission.in.>' --defaults",
            ),
            ("Which streams are there?", "choria broker stream ls"),
            ("What came last for a subject?", "choria broker stream get SUBMIT -S choria.submission.in.jobs.backup"),
        ],
    ),
    (
        "choria-broker-stream-add",
        &[
            (
                "Keep everything that servers submit for 30 days:",
                "choria broker stream add SUBMIT --subjects 'choria.submission.in.>' --max-age 30d --defaults",
            ),
            (
                "Keep the last five registrations of every node:",
                "choria broker stream add REGISTRATION --subjects 'choria.node_metadata.>' --max-msgs-per-subject 5 --defaults",
            ),
        ],
    ),
    (
        "choria-broker-stream-get",
        &[
            ("Read the first message:", "choria broker stream get SUBMIT 1"),
            (
                "Read the last one of a subject, for a program:",
                "choria broker stream get SUBMIT -S 'choria.submission.in.jobs.>' --json",
            ),
        ],
    ),
    (
        "choria-broker-stream-info",
        &[("How is a stream set up, and what is in it?", "choria broker stream info SUBMIT")],
    ),
    (
        "choria-broker-stream-ls",
        &[
            ("List streams:", "choria broker stream ls"),
            (
                "Where do messages of a subject go?",
                "choria broker stream ls --subject choria.submission.in.jobs.backup --names",
            ),
        ],
    ),
    (
        "choria-broker-stream-purge",
        &[
            ("Remove all but the last thousand messages:", "choria broker stream purge SUBMIT --keep 1000"),
            (
                "Remove what came for a subject, without a question:",
                "choria broker stream purge SUBMIT --subject 'choria.submission.in.test.>' --force",
            ),
        ],
    ),
    ("choria-broker-stream-rm", &[("Remove a stream:", "choria broker stream rm SUBMIT")]),
    ("choria-broker-stream-state", &[("What is in a stream?", "choria broker stream state SUBMIT")]),
    (
        "choria-broker-stream-view",
        &[("Page through what came in the last hour:", "choria broker stream view SUBMIT --since 1h")],
    ),
    ("choria-buildinfo", &[("Show versions, defaults and plugins:", "choria buildinfo")]),
    (
        "choria-completion",
        &[
            ("Teach this shell:", "source <(choria completion bash)"),
            (
                "Teach all shells of all users:",
                "choria completion bash > /usr/share/bash-completion/completions/choria\nchoria completion zsh > /usr/share/zsh/site-functions/_choria\nchoria completion fish > /usr/share/fish/vendor_completions.d/choria.fish",
            ),
        ],
    ),
    (
        "choria-discover",
        &[
            ("The nodes in Malta that are web servers:", "choria find -F country=mt -C roles::web"),
            ("The same with an expression:", "choria find -S \"with('country=mt') and with('roles::web')\""),
            (
                "Keep the list, and ask those nodes later:",
                "choria find -F country=mt > nodes\nchoria req rpcutil ping --nodes nodes",
            ),
        ],
    ),
    (
        "choria-doctor",
        &[
            ("Nothing works: why?", "choria doctor"),
            ("Why does the server of this machine not connect?", "choria doctor --server"),
        ],
    ),
    (
        "choria-election",
        &[
            ("Who leads?", "choria election info"),
            ("Run a job on one of several machines:", "choria election run backup -- /usr/local/bin/backup"),
        ],
    ),
    ("choria-election-info", &[("Who leads the elections of the provisioners?", "choria election info ^provisioner$")]),
    ("choria-election-evict", &[("Let another provisioner lead:", "choria election evict provisioner")]),
    (
        "choria-election-file",
        &[
            ("Keep a file on the machine that leads:", "choria election file /run/backup.leader backup"),
            (
                "A cron job that runs on that machine only:",
                "choria election file --check /run/backup.leader && /usr/local/bin/backup",
            ),
        ],
    ),
    (
        "choria-election-run",
        &[(
            "Start a program with the leadership, end it when that is lost:",
            "choria election run --terminate backup -- /usr/local/bin/backup --forever",
        )],
    ),
    (
        "choria-emulate",
        &[
            (
                "A thousand servers in one process, for load tests:",
                "choria emulate --count 1000 --issuer issuer.seed --server broker.example.net:4222",
            ),
            (
                "A hundred servers without credentials, to see how fast they are provisioned:",
                "choria emulate --count 100 --provision provisioning.jwt --folder /tmp/nodes --report 5s",
            ),
        ],
    ),
    (
        "choria-facts",
        &[
            ("How many nodes run which system?", "choria facts os.name"),
            ("And which are they?", "choria facts os.name --show-nodes"),
            ("For another program:", "choria facts os.name --json | jq 'map_values(.count)'"),
        ],
    ),
    (
        "choria-inventory",
        &[
            ("One node, without its facts:", "choria inventory n1.example.net --no-facts"),
            ("How many nodes has each collective?", "choria inventory --collectives"),
            (
                "A report of one's own: the file `hardware.report` holds a column a line, and the table is sorted by node:",
                "# heading = expression\nNode   = sender()\nSystem = fact(\"os.name\") + \" \" + fact(\"os.release.full\")\nMemory = fact(\"memory.system.total\")\nWeb    = class(\"roles::web\")\nAgents = data(\"agents\")",
            ),
            ("", "choria inventory --script hardware.report -F country=mt"),
        ],
    ),
    (
        "choria-jwt",
        &[
            (
                "Make an organization's issuer, then a user's token:",
                "choria jwt keys issuer.seed issuer.public\nchoria jwt keys alice.seed alice.public\nchoria jwt client alice.jwt up=alice issuer.seed --public-key $(cat alice.public) --fleet-management",
            ),
            ("Look at it:", "choria jwt view alice.jwt"),
        ],
    ),
    (
        "choria-jwt-client",
        &[(
            "A token for a user who may ask the fleet and see events, for a week:",
            "choria jwt client alice.jwt up=alice issuer.seed --public-key $(cat alice.public) --fleet-management --event-viewer --validity 7d",
        )],
    ),
    (
        "choria-jwt-server",
        &[(
            "A token for a node:",
            "choria jwt server n1.jwt n1.example.net $(cat n1.public) issuer.seed --collectives choria",
        )],
    ),
    (
        "choria-jwt-provisioning",
        &[("A token for nodes that wait to be provisioned:", "choria jwt provisioning --help")],
    ),
    ("choria-jwt-keys", &[("A new key pair:", "choria jwt keys alice.seed alice.public")]),
    (
        "choria-jwt-view",
        &[("Everything a token says, checked against its issuer:", "choria jwt view alice.jwt issuer.public")],
    ),
    ("choria-jwt-check", &[("Warn a week before a token expires:", "choria jwt check alice.jwt --validity-min 7d")]),
    (
        "choria-login",
        &[
            ("Log in for as long as the service allows:", "choria login"),
            (
                "From a program, with the password from a file that nobody else can read:",
                "(echo alice; cat password) | choria login",
            ),
            ("What may I do, and for how long?", "choria jwt view ~/.config/choria/client.jwt"),
        ],
    ),
    (
        "choria-ping",
        &[
            ("Everybody:", "choria ping"),
            ("Only until ten have answered:", "choria ping --expect 10"),
            ("How are the answers spread over time?", "choria ping --graph --silent"),
        ],
    ),
    (
        "choria-req",
        &[
            (
                "Ask all Debian machines for a fact:",
                "choria req rpcutil get_fact fact=kernelrelease -F os.family=Debian",
            ),
            (
                "Ten nodes at a time, half a minute between:",
                "choria req service restart service=nginx -C roles::web --batch 10 --batch-sleep 30",
            ),
            ("A tenth of the nodes, always the same ones:", "choria req puppet runonce --limit 10% --limit-seed 7"),
            (
                "Only answers for which an expression holds, as a table:",
                "choria req package status package=curl --table --filter-replies 'ok() && semver(data(\"ensure\"), \">= 8\")'",
            ),
            (
                "Ask the nodes that answered one request another one:",
                "choria req puppet status --json --filter-replies 'data(\"idling\")' | choria req puppet runonce",
            ),
            (
                "For another program, a line for every event:",
                "choria req rpcutil ping --jsonl | jq -r 'select(.k == \"result\").rr.sender'",
            ),
        ],
    ),
    ("choria-server", &[("Run a server in a terminal:", "choria server run --config /etc/choria/server.conf")]),
    ("choria-server-run", &[("Run a server in a terminal:", "choria server run --config /etc/choria/server.conf")]),
    (
        "choria-tool",
        &[
            ("What does a setting mean, and what is it?", "choria tool config middleware_hosts"),
            ("Is the server of this machine well?", "choria tool status --status-file /var/lib/choria/status.json"),
        ],
    ),
    (
        "choria-tool-config",
        &[
            ("The configuration in force:", "choria tool config"),
            ("What does a setting mean, and what is it?", "choria tool config middleware_hosts"),
            (
                "Check a server's configuration before a restart:",
                "choria tool config --check --config /etc/choria/server.conf && systemctl restart choria-server",
            ),
        ],
    ),
    (
        "choria-tool-event",
        &[
            ("Everything:", "choria tool event"),
            (
                "Servers that start, for another program:",
                "choria tool event --type startup --component server --json | jq -r .subject",
            ),
        ],
    ),
    (
        "choria-tool-submission",
        &[
            ("What waits to be delivered?", "choria tool submission"),
            ("The same for a program:", "choria tool submission --json"),
        ],
    ),
    (
        "choria-tool-submission-verify",
        &[
            ("Are the last hundred messages genuine?", "choria tool submission verify --stream SUBMIT --count 100"),
            (
                "Watch those that come:",
                "choria tool submission verify --follow --subject 'choria.submission.in.jobs.>'",
            ),
        ],
    ),
    (
        "choria-tool-submit",
        &[
            ("Report that a job is done, from cron:", "echo done | choria tool submit --reliable jobs.backup -"),
            (
                "Send a file, signed, ahead of others:",
                "choria tool submit --reliable --sign --priority 0 inventory.disks disks.json",
            ),
            (
                "Add a header and give up after an hour:",
                "choria tool submit --ttl 1h -H Site:berlin local.alert alert.txt",
            ),
        ],
    ),
    (
        "choria-tool-provisioner",
        &[("Where would this node be provisioned from?", "choria tool provisioner --config /etc/choria/server.conf")],
    ),
    (
        "choria-tool-status",
        &[
            ("As the existing tool tells it:", "choria tool status --status-file /var/lib/choria/status.json"),
            (
                "As a plugin of a monitoring system, with performance data:",
                "choria tool status --status-file /var/lib/choria/status.json --format nagios --token-age 7d",
            ),
        ],
    ),
];
