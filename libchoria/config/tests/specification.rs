//! Build specifications: the project's own says what is built in, and what is wrong stops a build with one sentence.

#[path = "../build/section.rs"]
mod section;
#[path = "../build/specification.rs"]
mod specification;

use specification::Specification;

fn parse(text: &str) -> Result<Specification, String> {
    Specification::parse(text, "acme.toml")
}

#[test]
fn the_projects_own_file_has_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../daemons/choria.toml");
    let text = std::fs::read_to_string(path).expect("daemons/choria.toml");
    let usual = parse("").expect("an empty file");
    // A branded tree has the organisation's file in that place, which need not say everything.
    if usual.name == choria_config::build::NAME {
        assert_eq!(parse(&text).as_ref(), Ok(&usual));
        let keys = text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();
        assert_eq!(keys, 6 + 3 + 5 + 14, "a key is not in daemons/choria.toml");
    }
}

#[test]
fn paths_follow_the_name() {
    let acme = parse("[package]\nname = \"acme-fleet\"\n").expect("valid");
    assert_eq!((acme.paths.etcdir.as_str(), acme.paths.bindir.as_str()), ("/etc/acme-fleet", "/usr/bin"));
    assert_eq!(acme.provisioning.token_file, "/etc/acme-fleet/provisioning.jwt");
    let moved = parse("[package]\nname = \"acme\"\n[paths]\netcdir = \"/etc/opt/acme\"\n").expect("valid");
    assert_eq!(moved.provisioning.token_file, "/etc/opt/acme/provisioning.jwt");
}

#[test]
fn everything_can_be_said() {
    let acme = parse(
        "[package]\nname = 'acme'\ndisplay_name = 'Acme Fleet'\nvendor = 'Acme'\ncontact = 'Ops <ops@acme.example>'\n\
         release = '3.el9'\nenable_server = true\n[defaults]\ncollectives = ['acme', 'lab']\nmax_broker_clients = 200\n\
         secure = false\n[provisioning]\nbrokers = ['b1.acme.example:4222', 'wss://[::1]:443']\ntoken = 's3cret'\n\
         protocol_v2 = true\ndefault = true\nusername = 'u'\npassword = 'p'\n[agents.stock]\npackage = 'acme-stock'\n\
         path = '../stock'\nfeatures = ['cold']\n",
    )
    .expect("valid");
    let constants = acme.constants();
    let value = |name: &str| constants.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("COLLECTIVES"), Some("acme,lab"));
    assert_eq!(value("PROVISIONING_BROKERS"), Some("b1.acme.example:4222,wss://[::1]:443"));
    assert_eq!((value("SECURE"), value("MOST_CLIENTS")), (Some("false"), Some("200")));
    assert_eq!(value("AGENTS"), Some("stock (acme-stock)"));
    assert_eq!(
        (acme.agents[0].path.as_str(), acme.agents[0].features.as_slice()),
        ("../stock", &["cold".to_owned()][..])
    );
}

#[test]
fn a_mistake_is_told_with_file_key_and_rule() {
    let rows = [
        ("no TOML", "[package\n", "acme.toml:1: this is no TOML: "),
        ("twice", "[paths]\n[paths]\n", "acme.toml:2: this is no TOML: "),
        ("a table", "[pakage]\n", "acme.toml: [pakage] is no table of a build specification: there are package, paths"),
        ("a key above", "name = 'x'\n", "acme.toml: [name] is no table of"),
        ("no table", "paths = '/etc'\n", "acme.toml: paths is a text: write [paths] and its keys below"),
        (
            "a key",
            "[package]\nnmae = 'x'\n",
            "acme.toml: package.nmae is no key of a build specification: [package] has name, d",
        ),
        ("a type", "[package]\nname = 7\n", "acme.toml: package.name is a number: it must be a text in quotes"),
        ("a flag", "[defaults]\ntls = 'no'\n", "acme.toml: defaults.tls is a text: it must be true or false"),
        (
            "capitals",
            "[package]\nname = 'Acme'\n",
            "acme.toml: package.name is \"Acme\": it must have 2 to 20 lower case",
        ),
        ("too long", "[package]\nname = 'a23456789012345678901'\n", "acme.toml: package.name is "),
        ("a hyphen", "[package]\nname = 'acme-'\n", "acme.toml: package.name is "),
        ("empty", "[package]\nvendor = ''\n", "acme.toml: package.vendor is \"\": it must be one line"),
        (
            "two lines",
            "[package]\ndisplay_name = \"a\\nb\"\n",
            "acme.toml: package.display_name is \"a\\nb\": it must be one",
        ),
        (
            "contact",
            "[package]\ncontact = 'ops@acme.example'\n",
            "acme.toml: package.contact is \"ops@acme.example\": it must be",
        ),
        (
            "release",
            "[package]\nrelease = '1-2'\n",
            "acme.toml: package.release is \"1-2\": it must begin with a digit",
        ),
        ("relative", "[paths]\netcdir = 'etc'\n", "acme.toml: paths.etcdir is \"etc\": it must be an absolute path"),
        ("climbs", "[paths]\netcdir = '/etc/../x'\n", "acme.toml: paths.etcdir is "),
        ("spaces", "[paths]\nbindir = '/opt/my bin'\n", "acme.toml: paths.bindir is "),
        ("no collective", "[defaults]\ncollectives = []\n", "acme.toml: defaults.collectives is empty"),
        (
            "a dot",
            "[defaults]\ncollectives = ['a.b']\n",
            "acme.toml: defaults.collectives is \"a.b\": it must be a collective",
        ),
        (
            "reserved",
            "[defaults]\ncollectives = ['provisioning']\n",
            "acme.toml: defaults.collectives is \"provisioning\"",
        ),
        (
            "mixed",
            "[defaults]\ncollectives = [1]\n",
            "acme.toml: defaults.collectives holds a number: it must be a list",
        ),
        (
            "few",
            "[defaults]\nmax_broker_clients = 1\n",
            "acme.toml: defaults.max_broker_clients is 1: it must be between 10",
        ),
        ("fraction", "[defaults]\nmax_broker_clients = 1e3\n", "acme.toml: defaults.max_broker_clients is a fraction"),
        (
            "no port",
            "[provisioning]\nbrokers = ['b1']\n",
            "acme.toml: provisioning.brokers is \"b1\": it must be host:port",
        ),
        ("scheme", "[provisioning]\nbrokers = ['http://b1:1']\n", "acme.toml: provisioning.brokers is "),
        ("port", "[provisioning]\nbrokers = ['b1:0']\n", "acme.toml: provisioning.brokers is "),
        (
            "no token",
            "[provisioning]\nbrokers = ['b1:1']\nprotocol_v2 = true\n",
            "acme.toml: provisioning.token is not set",
        ),
        ("no target", "[provisioning]\ntoken = 'x'\n", "acme.toml: provisioning.token is set without brokers"),
        (
            "two",
            "[provisioning]\nbrokers = ['b:1']\nsrv_domain = 'b'\n",
            "acme.toml: provisioning.srv_domain is set beside",
        ),
        (
            "v1",
            "[provisioning]\nsrv_domain = 'b'\ntoken = 'x'\n",
            "acme.toml: provisioning.protocol_v2 is false: these servers",
        ),
        (
            "user",
            "[provisioning]\nusername = 'x'\n",
            "acme.toml: provisioning.username and provisioning.password go together",
        ),
        ("default", "[provisioning]\ndefault = true\n", "acme.toml: provisioning.default is true without brokers"),
        ("agents", "agents = 1\n", "acme.toml: agents is a number: write [agents.NAME]"),
        ("agent", "[agents.x]\npath = 'x'\n", "acme.toml: [agents.x] needs package, the name of its crate, and path"),
        ("agent's name", "[agents.X-y]\n", "acme.toml: [agents.X-y] names no agent: a name is"),
        (
            "agent's key",
            "[agents.x]\npath = 'x'\npackage = 'x'\nversion = '1'\n",
            "acme.toml: agents.x.version is no key",
        ),
    ];
    for (name, text, beginning) in rows {
        let sentence = parse(text).expect_err(name);
        assert!(sentence.starts_with(beginning) && !sentence.contains('\n'), "{name}: {sentence}");
    }
}

#[test]
fn a_secret_is_not_repeated() {
    let sentence = parse("[provisioning]\nusername = 'u'\npassword = \" hunter2\"\n").expect_err("refused");
    assert!(sentence.starts_with("acme.toml: provisioning.password must be 1 to 1000") && !sentence.contains("hunter"));
}
