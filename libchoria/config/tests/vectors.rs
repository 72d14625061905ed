//! The configuration files of a running network load unchanged.

use choria_config::{FixedEnvironment, Kind, Settings, keys, load};
use std::path::Path;
use vectors::{Folder, Tally};

/// What one file must say: key and value as `choria tool config` shows it.
type Wanted = &'static [(&'static str, &'static str)];

const FILES: &[(&str, bool, Wanted)] = &[
    (
        "broker.conf",
        false,
        &[
            ("collectives", "[choria]"),
            ("plugin.choria.stats_port", "8222"),
            ("plugin.choria.network.stream.store", "/data"),
            ("plugin.choria.adapters", "[registration]"),
            ("plugin.choria.use_srv", "false"),
        ],
    ),
    (
        "client.conf",
        true,
        &[
            ("loglevel", "warn"),
            ("plugin.choria.services.registry.cache", "/home/choria/.config/choria/registry"),
            ("plugin.security.choria.seed_file", "/home/choria/.config/choria/client.key"),
            ("plugin.login.aaasvc.login.url", "[https://aaa.choria.local:8080/choria/v1/login]"),
        ],
    ),
    ("aaa-choria.conf", false, &[("identity", "aaa.choria.local"), ("main_collective", "choria")]),
    ("provisioner-choria.cfg", false, &[("identity", "provisioner_signer"), ("plugin.security.provider", "choria")]),
];

#[test]
fn configuration_files_of_operators_load_unchanged() {
    let folder = vectors::root().join("config");
    let mut tally = Tally::new("config");
    for (file, is_client, wanted) in FILES {
        tally.case(file, || {
            let text = std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string())?;
            // The recorded files hold a placeholder where each site has its own key.
            let settings = settings(&text.replace("ISSUER", &"ab".repeat(32)), *is_client)?;
            if !settings.warnings().is_empty() {
                return Err(format!("unexpected warnings: {:?}", settings.warnings()));
            }
            for (key, value) in *wanted {
                let got = settings.value(key).map(ToString::to_string);
                if got.as_deref() != Some(*value) {
                    return Err(format!("{key} is {got:?}, not {value}"));
                }
            }
            Ok(())
        });
    }
    tally.finish();
}

/// The answer of a node to `rpcutil#get_config_item` for its collectives.
#[test]
fn a_configuration_item_is_answered_as_recorded() {
    let recorded: serde_json::Value = Folder::open("cli").json("req-config.stdout.txt");
    let item = &recorded["replies"][0]["data"];
    let settings = Settings::builder().set("plugin.security.provider", "choria").build().expect("valid");
    assert_eq!(settings.json(item["item"].as_str().expect("a name")).as_ref(), Some(&item["value"]));
    assert_eq!(keys::COLLECTIVES.name(), "collectives");
}

fn settings(text: &str, is_client: bool) -> Result<Settings, String> {
    let environment = FixedEnvironment { home: Some("/home/choria".into()), ..FixedEnvironment::default() };
    let environment = environment.with_file("/etc/choria/choria.conf", text);
    let kind = if is_client { Kind::client(&environment) } else { Kind::Server };
    let inputs = load(Path::new("/etc/choria/choria.conf"), kind, &environment).map_err(|error| error.to_string())?;
    inputs.check().map_err(|problems| problems.to_string())
}
