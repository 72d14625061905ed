//! General, identity and logging: who this node is, where it logs, what it knows about itself (spec 04b §2).

use crate::key::{Boolean, CommaList, Integer, PathList, PathText, Text};
use crate::rule::Rule;

keys! {
    "General, identity and logging";

    IDENTITY: Text = key("identity",
        "Name of this node in subjects, replies and events, used verbatim. When unset: the host name if \
         it holds two or more dots, else the name that reverse lookup gives its first IPv4 address, else \
         facter's `networking.fqdn`, else the host name.")
        .rule(Rule::Identity);

    COLLECTIVES: CommaList = key("collectives",
        "Collectives, the partitions of a fleet, that a server joins and a client knows. When unset \
         `choria` with the security provider `choria`, otherwise `mcollective`.")
        .rule(Rule::Collective);

    MAIN_COLLECTIVE: Text = key("main_collective",
        "Collective that clients publish to; also the first word of submission, inbox and governor \
         subjects. When unset the first of `collectives`.")
        .rule(Rule::Collective);

    LOGFILE: PathText = key("logfile",
        "File to log to as JSON lines, or one of the words `stdout`, `stderr` and `discard`. Under \
         systemd the words `stdout` and `stderr` mean the journal.")
        .default("stdout");

    LOGLEVEL: Text = key("loglevel",
        "Least severe messages to log.")
        .default("info").one_of(&["debug", "info", "warn", "error", "fatal"]);

    LIBDIR: PathList = key("libdir",
        "Directories searched for DDLs and plugins, in the directories `choria` and `mcollective` below \
         them. Several lines add up.");

    COLOR: Boolean = key("color",
        "Whether command line output is coloured.")
        .default("true");

    CLASSESFILE: PathText = key("classesfile",
        "File with the configuration management classes of this node, one per line.")
        .default("/opt/puppetlabs/puppet/cache/state/classes.txt");

    YAML: PathText = key("plugin.yaml",
        "Files with the facts of this node, YAML or JSON, separated by `:`; later files win.");

    TTL: Integer = key("ttl",
        "Seconds that a request made by this process stays valid; also how far clocks may differ.")
        .default("60").rule(Rule::Between(1, i64::MAX));

    SOFT_SHUTDOWN_TIMEOUT: Integer = key("soft_shutdown_timeout",
        "Seconds that a server is given to stop before it is ended; 0 and less mean 10.")
        .default("2");

}
