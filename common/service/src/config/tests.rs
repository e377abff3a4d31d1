use super::*;
use std::io::Write;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Example {
    #[serde(flatten)]
    server: ServerConfig,
    node: String,
    workers: u32,
    ratio: f64,
    verbose: bool,
    peers: Vec<String>,
    limit: Option<u64>,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            node: "near-a".into(),
            workers: 2,
            ratio: 0.5,
            verbose: false,
            peers: vec![],
            limit: None,
        }
    }
}

impl ProcessConfig for Example {
    fn server(&self) -> &ServerConfig {
        &self.server
    }
    fn validate(&self, faults: &mut Faults) {
        if self.workers == 0 {
            faults.add("workers", "must be at least 1");
        }
    }
}

fn load_with(file: &str, env: &[(&str, &str)], flags: &[&str]) -> Result<Example, ConfigError> {
    let mut on_disk = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    on_disk.write_all(file.as_bytes()).unwrap();
    let path = on_disk.path().to_str().unwrap().to_owned();
    let args = ["example", "--config", &path].into_iter().chain(flags.iter().copied()).map(OsString::from);
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load("example", args.collect::<Vec<_>>().into_iter(), env).map(|l| l.config)
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let file = "workers = 3\nnode = \"file\"\nratio = 0.1\n[listen]\nhttp = \"127.0.0.1:1\"\n";
    let env = [("SLUICE_NODE", "env"), ("SLUICE_LISTEN__HTTP", "127.0.0.1:2"), ("SLUICE_VERBOSE", "true")];
    let config =
        load_with(file, &env, &["--listen.http", "127.0.0.1:3", "--peers", "a,b", "--limit", "7"]).unwrap();
    assert_eq!(config.workers, 3);
    assert_eq!(config.node, "env");
    assert!(config.verbose);
    assert_eq!(config.server.listen.http, Some("127.0.0.1:3".parse().unwrap()));
    assert_eq!(config.peers, ["a", "b"]);
    assert_eq!(config.limit, Some(7));
}

#[test]
fn a_flag_that_was_not_given_does_not_undo_the_file() {
    let config = load_with("workers = 9\npeers = [\"x\"]\n", &[], &["--ratio", "0.25"]).unwrap();
    assert_eq!((config.workers, config.ratio), (9, 0.25));
    assert_eq!(config.peers, ["x"]);
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let file = "wrokers = 3\nratio = \"much\"\n[listen]\nhttps = 5\n";
    let env = [("SLUICE_WORKERS", "many"), ("SLUICE_NODES", "x"), ("SLUICE_MEDIA_DIR", "/m")];
    let Err(ConfigError::Faults(faults)) = load_with(file, &env, &["--listen.http", "nowhere"]) else {
        panic!("faults expected")
    };
    let text = faults.lines().join("\n");
    assert_eq!(faults.lines().len(), 6, "{text}");
    for part in [
        "wrokers: there is no such key; did you mean workers?",
        ".toml: ratio:",
        ".toml: listen.https:",
        "environment: SLUICE_WORKERS: workers:",
        "SLUICE_NODES: there is no such key; did you mean node?",
        "flag: listen.http:",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn values_of_the_right_type_are_validated_too() {
    let Err(ConfigError::Faults(faults)) = load_with(
        "workers = 0\n[listen]\nh3 = true\n[log]\nfilter = \"a=b=c\"\n",
        &[],
        &["--tls.cert", "/none"],
    ) else {
        panic!("faults expected")
    };
    let text = faults.lines().join("\n");
    for key in ["workers", "listen.h3", "log.filter", "tls.cert"] {
        assert!(text.contains(key), "{key} in\n{text}");
    }
}

#[test]
fn unknown_flags_and_help_are_told_apart() {
    assert!(matches!(load_with("", &[], &["--nothing", "1"]), Err(ConfigError::Usage(_))));
    let Err(ConfigError::Shown(help)) = load_with("", &[], &["--help"]) else { panic!("help expected") };
    assert!(help.contains("--listen.http") && help.contains("--workers"), "{help}");
}
