//! Tests of the order in which files are read, and of what each may say.

use super::*;
use crate::environment::FixedEnvironment;
use crate::keys;

const MAIN: &str = "/etc/choria/server.conf";

fn server(environment: &FixedEnvironment) -> Inputs {
    load(Path::new(MAIN), Kind::Server, environment).expect("readable")
}

fn client(main: &str, environment: &FixedEnvironment) -> Inputs {
    load(Path::new(main), Kind::client(environment), environment).expect("readable")
}

fn files(inputs: &Inputs) -> Vec<&str> {
    inputs.files().iter().filter_map(|file| file.to_str()).collect()
}

fn warnings(inputs: &Inputs) -> Vec<String> {
    inputs.warnings.iter().map(ToString::to_string).collect()
}

/// A machine with files of every kind.
fn everything() -> FixedEnvironment {
    let mut environment = FixedEnvironment::default()
        .with_file(MAIN, "loglevel = warn\nlibdir = /a:/b\nplugin.choria.use_srv = yes\n")
        .with_file("/etc/choria/plugin.d/choria.cfg", "use_srv = no\n")
        .with_file("/etc/choria/plugin.d/nats.cfg", "user = me\n")
        .with_file("/etc/choria/plugin.d/rpcutil.cfg", "x = 1\n")
        .with_file("/etc/choria/plugin.d/late.conf", "x = 1\n")
        .with_file("/etc/choria/plugin.d/.hidden.cfg", "x = 1\n")
        .with_file("/etc/choria/plugin.d/README", "x = 1\n")
        .with_file("/choria.conf", "loglevel = error\nlibdir = /c\n")
        .with_file("/home/me/project/choria.conf", "loglevel = debug\n")
        .with_file("/tmp/choria.conf", "loglevel = fatal\n");
    environment.home = Some("/home/me".into());
    environment.working_directory = "/home/me/project".into();
    environment
}

#[test]
fn a_server_reads_its_file_and_the_plugin_directory() {
    let inputs = server(&everything());
    let read =
        [MAIN, "/etc/choria/plugin.d/choria.cfg", "/etc/choria/plugin.d/nats.cfg", "/etc/choria/plugin.d/rpcutil.cfg"];
    assert_eq!(files(&inputs), read);
    assert_eq!(
        warnings(&inputs),
        ["/etc/choria/plugin.d/late.conf: the file is not read: names in plugin.d end in .cfg"]
    );
    let settings = inputs.check().expect("valid");
    assert!(!settings.get(keys::USE_SRV), "plugin.d wins");
    assert_eq!(settings.get(keys::NATS_USER), Some("me"), "typed keys of other files count too");
    assert_eq!(settings.raw("plugin.rpcutil.x"), Some("1"));
    assert_eq!(settings.get(keys::LOGLEVEL), Some("warn"), "project files do not count");
}

#[test]
fn a_client_reads_project_files_from_the_root_down() {
    let inputs = client(MAIN, &everything());
    assert_eq!(files(&inputs)[4..], ["/choria.conf", "/home/me/project/choria.conf"]);
    let settings = inputs.check().expect("valid");
    assert_eq!(settings.get(keys::LOGLEVEL), Some("debug"));
    assert_eq!(settings.get(keys::LIBDIR), ["/a", "/b", "/c"], "lists of paths add up");
}

#[test]
fn a_project_file_of_somebody_else_is_skipped() {
    let mut environment = everything();
    environment.working_directory = "/tmp".into();
    environment.distrusted.insert("/tmp/choria.conf".into());
    let inputs = client(MAIN, &environment);
    assert!(!files(&inputs).contains(&"/tmp/choria.conf"));
    let said = warnings(&inputs).iter().any(|warning| warning.starts_with("/tmp/choria.conf: the project file is not"));
    assert!(said, "{:?}", inputs.warnings);
}

#[test]
fn the_plugin_directory_is_skipped_only_beside_files_in_the_home_of_a_client() {
    let rows = [
        ("/home/me", "/home/me/.choriarc", true, false),
        ("/home/me", "/home/me/.choriarc", false, true),
        ("/home/me", "/home/mel/choria.cfg", true, true),
        ("/", "/home/me/.choriarc", true, true),
    ];
    for (home, main, is_client, wanted) in rows {
        let mut environment = FixedEnvironment::default().with_file(main, "loglevel = warn\n");
        let beside = Path::new(main).with_file_name("plugin.d/choria.cfg");
        environment = environment.with_file(&beside, "use_srv = no\n");
        environment.home = Some(home.into());
        let kind = if is_client { Kind::client(&environment) } else { Kind::Server };
        let inputs = load(Path::new(main), kind, &environment).expect("readable");
        assert_eq!(files(&inputs).len() == 2, wanted, "home {home}, file {main}, client {is_client}");
    }
}

#[test]
fn a_relative_path_starts_in_the_working_directory_and_is_read_once() {
    let mut environment = FixedEnvironment::default().with_file("/srv/project/choria.conf", "libdir = /a\n");
    environment.working_directory = "/srv/project".into();
    let inputs = client("choria.conf", &environment);
    assert_eq!(files(&inputs), ["/srv/project/choria.conf"]);
    assert_eq!(inputs.config_file(), Some(Path::new("/srv/project/choria.conf")));
}

#[test]
fn lines_that_set_nothing_are_named_without_what_may_be_a_secret() {
    let inputs = server(&FixedEnvironment::default().with_file(MAIN, "# x\nloglevel =\nplugin.nats.pass s3cret\n"));
    let rest = "is ignored: a setting is key = value";
    let wanted = [
        format!("/etc/choria/server.conf:2: the line that starts with \"loglevel\" {rest}"),
        format!("/etc/choria/server.conf:3: the line that starts with \"plugin.nats.pass\" {rest}"),
    ];
    assert_eq!(warnings(&inputs), wanted);
}

#[test]
fn errors_name_file_purpose_and_fix() {
    let long = format!("a = b\nc = {}\n", "x".repeat(70_000));
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "/etc/choria/other.conf",
            Vec::new(),
            "the configuration file /etc/choria/server.conf does not exist: create it, or name another with --config",
        ),
        (
            MAIN,
            long.into_bytes(),
            "/etc/choria/server.conf:2: the line is longer than 64 KiB: is this a configuration file?",
        ),
        (
            MAIN,
            b"a = b\n\xff\xfe = c\n".to_vec(),
            "/etc/choria/server.conf:2: the line is not UTF-8 text: is this a configuration file?",
        ),
    ];
    for (path, bytes, wanted) in rows {
        let environment = FixedEnvironment::default().with_file(path, bytes);
        let error = load(Path::new(MAIN), Kind::Server, &environment).expect_err(wanted);
        assert_eq!(error.to_string(), wanted);
    }
    let environment = FixedEnvironment::default();
    let found = find_client_config(&environment);
    let error = load(&found, Kind::client(&environment), &environment).expect_err("no file at all");
    assert!(error.to_string().starts_with("no client configuration was found: create ~/.choriarc"), "{error}");
    let denied = LoadError::Unreadable {
        path: MAIN.into(),
        purpose: "configuration file",
        source: io::ErrorKind::PermissionDenied.into(),
    };
    assert_eq!(
        denied.to_string(),
        "the configuration file /etc/choria/server.conf cannot be read: permission denied; \
         run as a user that may read it, or change its mode"
    );
}

#[test]
fn clients_find_their_file_in_the_documented_order() {
    let order = [
        "/home/me/.choriarc",
        "/home/me/.mcollective",
        "/etc/choria/client.conf",
        "/usr/local/etc/choria/client.conf",
        "/etc/puppetlabs/mcollective/client.cfg",
    ];
    for start in 0..order.len() {
        let mut environment = FixedEnvironment { home: Some("/home/me".into()), ..FixedEnvironment::default() };
        for path in &order[start..] {
            environment = environment.with_file(path, "");
        }
        assert_eq!(find_client_config(&environment), Path::new(order[start]));
    }
    assert_eq!(find_client_config(&FixedEnvironment::default()), Path::new(order[4]), "it need not exist");
}
