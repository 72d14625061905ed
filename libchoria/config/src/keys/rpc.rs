//! RPC, discovery, authorization and audit: requests: finding nodes, deciding about callers, keeping records (spec 04b §3).

use crate::key::{Boolean, Integer, Lines, PathList, PathText, Text, Title};
use crate::rule::Rule;

keys! {
    "RPC, discovery, authorization and audit";

    DISCOVERY_TIMEOUT: Integer = key("discovery_timeout",
        "Seconds to wait for nodes in broadcast discovery; also added to the time that requests may take.")
        .default("2").rule(Rule::Between(0, i64::MAX));

    DEFAULT_DISCOVERY_METHOD: Text = key("default_discovery_method",
        "How nodes are found when no method is given: `mc` means `broadcast` and `choria` means \
         `puppetdb`.")
        .default("mc").one_of(&["mc", "broadcast", "puppetdb", "choria", "external", "inventory"]);

    DEFAULT_DISCOVERY_OPTIONS: Lines = key("default_discovery_options",
        "Options `name=value` for the discovery method, one per line.");

    RPCLIMITMETHOD: Text = key("rpclimitmethod",
        "How nodes are chosen when a request is limited to some of them.")
        .default("first").one_of(&["first", "random"]);

    RPCAUTHORIZATION: Boolean = key("rpcauthorization",
        "Whether a server authorizes every request before an agent sees it.")
        .default("true").url("https://choria.io/docs/configuration/aaa/");

    RPCAUTHPROVIDER: Title = key("rpcauthprovider",
        "What decides about requests: `action_policy`, `rego_policy`, or `aaasvc`, which may be called `aaasvc_policy`. With \
         any other word a server denies them all, and says so when it starts.")
        .default("action_policy")
        .url("https://choria.io/docs/configuration/aaa/");

    RPCAUDIT: Boolean = key("rpcaudit",
        "Whether a server writes one audit line per request.")
        .default("false").url("https://choria.io/docs/configuration/aaa/");

    RPCAUDIT_LOGFILE: PathText = key("plugin.rpcaudit.logfile",
        "File that audit lines are appended to; without it there is no audit, and a warning.");

    RPCAUDIT_LOGFILE_GROUP: Text = key("plugin.rpcaudit.logfile.group",
        "Group that owns the audit file.");

    RPCAUDIT_LOGFILE_MODE: Text = key("plugin.rpcaudit.logfile.mode",
        "Mode with which the audit file is created, in octal.")
        .default("0600").rule(Rule::FileMode);

    RPCAUDIT_LOG_DENIED: Boolean = key("plugin.rpcaudit.log_denied",
        "Whether the audit also gets a line for each call that is denied, with `denied_action` in place of `action` and \
         with the `reason`, so that no reader takes it for a call that was carried out. It holds none of the inputs.")
        .default("true").own();

    REQUIRE_CLIENT_FILTER: Boolean = key("plugin.choria.require_client_filter",
        "Whether clients refuse to send requests that have no filter.")
        .default("false");

    DISCOVERY_EXTERNAL_COMMAND: PathText = key("plugin.choria.discovery.external.command",
        "Program that discovers nodes for the method `external`.");

    DISCOVERY_INVENTORY_SOURCE: PathText = key("plugin.choria.discovery.inventory.source",
        "File that lists nodes for the method `inventory`.");

    DISCOVERY_BROADCAST_WINDOWED_TIMEOUT: Boolean = key("plugin.choria.discovery.broadcast.windowed_timeout",
        "Whether broadcast discovery ends early, once no reply came for 300 milliseconds.");

    AGENT_PROVIDER_MCORPC_AGENT_SHIM: Text = key("plugin.choria.agent_provider.mcorpc.agent_shim",
        "Program that runs agents written in Ruby.");

    AGENT_PROVIDER_MCORPC_CONFIG: Text = key("plugin.choria.agent_provider.mcorpc.config",
        "Configuration file handed to the program that runs agents written in Ruby.");

    AGENT_PROVIDER_MCORPC_LIBDIR: PathList = key("plugin.choria.agent_provider.mcorpc.libdir",
        "Directories that hold Ruby and external agents in `mcollective/agent`. Several lines add up.");

    SERVICES_REGISTRY_STORE: PathText = key("plugin.choria.services.registry.store",
        "Directory of DDLs that the registry service agent of this server hands out; setting it enables \
         the agent.");

    SERVICES_REGISTRY_CACHE: PathText = key("plugin.choria.services.registry.cache",
        "Directory in which clients keep DDLs from the registry service; setting it enables asking the \
         registry.")
        .environment("CHORIA_REGISTRY");

}
