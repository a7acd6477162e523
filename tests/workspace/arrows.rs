//! Who may name whom. The arrows run one way: functions, then what reaches outside, then the use cases, then mapping.

use crate::{none, root};
use cargo_metadata::{Metadata, MetadataCommand, Package, Target};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    process::Command,
    sync::LazyLock,
};

static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let mut command = MetadataCommand::new();
    // Of the members only: what other platforms would link need not be on this machine.
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.other_options(vec!["--locked".into(), "--offline".into()]);
    command.exec().unwrap()
});

const MAPPING: &str = "certbridge-mapping";
const SYNC: &str = "certbridge-sync";
const REPORT: &str = "certbridge-report";
const ARCHIVE: &str = "certbridge-archive";
const BATCH: &str = "certbridge-batch";
const STORE: &str = "certbridge-store";
const REMOTE: &str = "certbridge-remote";
const PLATFORM: &str = "certbridge-platform";
const WIRING: &str = "certbridge-wiring";
const SANDBOX: &str = "certbridge-sandbox";
const CLI: &str = "certbridge";
const TESTS: &str = "certbridge-tests";

/// A member, with the folder that it stands in.
struct Member {
    package: &'static Package,
    folder: String,
}

impl Member {
    fn name(&self) -> &'static str {
        self.package.name.as_str()
    }

    fn is_function(&self) -> bool {
        self.folder.starts_with("functions/")
    }

    /// What it names itself, of any kind.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.package.dependencies.iter().map(|dependency| dependency.name.as_str())
    }
}

fn members() -> Vec<Member> {
    let folder = |package: &Package| {
        let folder = package.manifest_path.parent().unwrap();
        folder.strip_prefix(METADATA.workspace_root.as_path()).unwrap().to_string()
    };
    METADATA.workspace_packages().into_iter().map(|package| Member { folder: folder(package), package }).collect()
}

#[test]
fn ours_name_ours_in_one_direction() {
    let members = members();
    let ours: HashSet<_> = members.iter().map(Member::name).collect();
    let functions: Vec<_> = members.iter().filter(|member| member.is_function()).map(Member::name).collect();
    let shared = [WIRING, BATCH, PLATFORM, STORE, REMOTE, REPORT, ARCHIVE, SYNC, MAPPING];
    let allowed = |member: &Member| -> Vec<&str> {
        match member.name() {
            MAPPING | SANDBOX => Vec::new(),
            SYNC => vec![MAPPING],
            PLATFORM | STORE | REMOTE | REPORT | ARCHIVE => vec![SYNC, MAPPING],
            WIRING => vec![PLATFORM, STORE, REMOTE, SYNC, MAPPING],
            BATCH => vec![ARCHIVE, REPORT, SYNC, MAPPING],
            CLI => shared.iter().chain(&functions).chain(&[SANDBOX]).copied().collect(),
            TESTS => ours.iter().copied().collect(),
            _ if member.is_function() => shared.to_vec(),
            unknown => panic!("no rule says what {unknown} may name"),
        }
    };
    none(members.iter().flat_map(|member| {
        let allowed = allowed(member);
        let back = member.names().filter(|name| ours.contains(name) && !allowed.contains(name));
        back.map(|name| format!("{} may not name {name}", member.name())).collect::<Vec<_>>()
    }));
}

#[test]
fn only_some_name_the_world_outside() {
    let rules: &[(&str, &[&str])] = &[
        // The HTTP client.
        ("reqwest", &[REMOTE, CLI, SANDBOX, TESTS]),
        // The embedded DynamoDB. The command reaches it through the sandbox.
        ("dynoxide-rs", &[SANDBOX, CLI, TESTS]),
        // The functions read secrets, through platform. The command also writes one.
        ("aws-sdk-secretsmanager", &[PLATFORM, CLI]),
        ("aws-config", &[PLATFORM]),
    ];
    none(members().iter().flat_map(|member| {
        let broken =
            rules.iter().filter(|(name, who)| member.names().any(|own| own == *name) && !who.contains(&member.name()));
        broken.map(|(name, _)| format!("{} may not name {name}", member.name())).collect::<Vec<_>>()
    }));
}

#[test]
fn what_is_pure_knows_nothing_of_the_world_outside() {
    let outside = [
        "tokio",
        "aws-config",
        "aws-sdk",
        "aws-smithy",
        "aws_lambda",
        "http",
        "hyper",
        "lambda",
        "reqwest",
        "axum",
        "rustls",
        "getrandom",
        "rand",
    ];
    for member in [MAPPING, SYNC, REPORT] {
        let tree = tree(member);
        let found = tree.keys().filter(|name| outside.iter().any(|start| name.starts_with(start)));
        none(found.map(|name| format!("{member} reaches {name}")));
    }
}

#[test]
fn the_embedded_database_is_in_no_functions_graph() {
    let outside = ["dynoxide-rs", "rusqlite", "axum", CLI, SANDBOX, TESTS];
    for member in members().iter().filter(|member| member.is_function() || member.folder.starts_with("shared/")) {
        let tree = tree(member.name());
        none(
            outside
                .iter()
                .filter(|name| tree.contains_key(**name))
                .map(|name| format!("{} links {name}", member.name())),
        );
    }
}

#[test]
fn webhook_links_no_http_client_of_ours() {
    let tree = tree("webhook");
    assert!(tree.contains_key("aws-sdk-dynamodb"), "this test reads the tree");
    let heavy = ["reqwest", "ring", "aws-sdk-sqs", REMOTE, WIRING];
    none(heavy.iter().filter(|name| tree.contains_key(**name)).map(|name| format!("webhook links {name}")));
}

#[test]
fn a_function_has_one_tls_stack_and_one_crypto_provider() {
    for member in members().iter().filter(|member| member.is_function()) {
        let tree = tree(member.name());
        for once in ["rustls", "aws-lc-rs", "hyper", "http", "tokio"] {
            let versions = tree.get(once).map_or(0, BTreeSet::len);
            assert!(versions <= 1, "{} links {versions} versions of {once}", member.name());
        }
        let others = ["ring", "openssl", "openssl-sys", "native-tls", "boring"];
        none(
            others
                .iter()
                .filter(|name| tree.contains_key(**name))
                .map(|name| format!("{} links {name}", member.name())),
        );
    }
}

#[test]
fn nobody_holds_ring() {
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let all = links(&["--workspace", "--edges", "normal,build,dev", "--target", target]);
        assert!(all.contains_key("rustls"), "this test reads the tree");
        assert!(!all.contains_key("ring"), "somebody holds ring for {target}");
    }
}

#[test]
fn functions_are_all_found() {
    let members = members();
    let functions: BTreeSet<_> =
        members.iter().filter(|member| member.is_function()).map(|member| &member.folder).collect();
    let folders: Vec<_> =
        std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(functions.len(), folders.len());
    // A function is a library, which `up` and the tests host, and one binary, which Lambda runs.
    for member in members.iter().filter(|member| member.is_function()) {
        let targets = &member.package.targets;
        assert!(targets.iter().any(Target::is_lib), "{} has no library", member.name());
        let binaries: Vec<_> = targets.iter().filter(|target| target.is_bin()).map(|target| &target.name).collect();
        assert_eq!(binaries, [member.name()], "its one binary has its name");
        assert_eq!(member.folder, format!("functions/{}", member.name()));
    }
}

#[test]
fn binaries_have_names_of_their_own() {
    let members = members();
    let binaries = members.iter().flat_map(|member| &member.package.targets).filter(|target| target.is_bin());
    let mut seen = HashSet::new();
    none(
        binaries
            .filter(|target| !seen.insert(&target.name))
            .map(|target| format!("two binaries are called {}", target.name)),
    );
}

/// What a member links, by name, with the versions.
fn tree(member: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tree = links(&["-p", member, "--edges", "normal"]);
    assert!(tree.remove(member).is_some(), "{member} is in its own tree");
    tree
}

/// The crates of a dependency tree, with their versions. `cargo metadata` joins the features of all members, which no
/// build of one function does, so the tree is asked.
fn links(selection: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}"])
        .args(selection)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            links.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    links
}
