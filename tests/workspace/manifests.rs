//! One table of versions, one place for what all members share.

use crate::{none, text_of};
use certbridge_platform::http::routes::ROUTES;
use std::{collections::BTreeSet, path::Path};
use toml::{Table, Value};

fn manifest(file: &Path) -> Table {
    text_of(file).unwrap().parse().unwrap()
}

/// The members' manifests, with their paths.
fn members() -> Vec<(String, Table)> {
    let manifests =
        crate::files("").into_iter().filter(|file| file.ends_with("Cargo.toml") && file != Path::new("Cargo.toml"));
    manifests.map(|file| (file.display().to_string(), manifest(&file))).collect()
}

/// Every table of dependencies of a manifest, those for one target among them.
fn dependencies(manifest: &Table) -> Vec<&Table> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = [manifest].into_iter().chain(targets.filter_map(Value::as_table));
    tables
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"].map(|kind| table.get(kind)?.as_table())
        })
        .flatten()
        .collect()
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[test]
fn every_version_stands_in_the_one_table() {
    none(members().iter().flat_map(|(file, manifest)| {
        let own = dependencies(manifest).into_iter().flatten().filter(|(_, value)| !is_inherited(value));
        own.map(|(name, _)| format!("{file}: {name} is not workspace = true")).collect::<Vec<_>>()
    }));
}

#[test]
fn the_table_holds_nothing_that_nobody_names() {
    let members = members();
    let named: BTreeSet<_> =
        members.iter().flat_map(|(_, manifest)| dependencies(manifest)).flat_map(Table::keys).collect();
    let root = manifest(Path::new("Cargo.toml"));
    let table = root["workspace"]["dependencies"].as_table().unwrap();
    // Ours stand there too, whether anybody names them yet or not.
    let foreign = table.iter().filter(|(_, value)| value.get("path").is_none());
    none(foreign.filter(|(name, _)| !named.contains(name)).map(|(name, _)| format!("nobody names {name}")));
}

#[test]
fn members_inherit_what_all_share() {
    none(members().iter().flat_map(|(file, manifest)| {
        let package = &manifest["package"];
        let shared = ["version", "edition", "rust-version", "license", "publish"].into_iter();
        let own = shared.filter(|name| !package.get(name).is_some_and(is_inherited));
        let mut faults: Vec<_> = own.map(|name| format!("{file}: {name} is not inherited")).collect();
        if !manifest.get("lints").is_some_and(is_inherited) {
            faults.push(format!("{file}: the lints are not inherited"));
        }
        if package
            .get("description")
            .and_then(Value::as_str)
            .is_none_or(|text| !text.starts_with("Certbridge: ") && !file.starts_with("cli/"))
        {
            faults.push(format!("{file}: it does not say what it is"));
        }
        faults
    }));
}

#[test]
fn cargo_lambda_watch_serves_the_routes() {
    let root = manifest(Path::new("Cargo.toml"));
    let router = root["workspace"]["metadata"]["lambda"]["watch"]["router"].as_table().unwrap();
    let served: BTreeSet<_> = router
        .iter()
        .flat_map(|(path, targets)| targets.as_array().unwrap().iter().map(move |target| (path, target)))
        .map(|(path, target)| (format!("{} {path}", target["method"].as_str().unwrap()), target["function"].as_str()))
        .collect();
    assert_eq!(served, ROUTES.iter().map(|route| (route.key.to_owned(), Some(route.function))).collect());
}

#[test]
fn crates_come_from_one_registry() {
    let lock: Table = text_of(Path::new("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let sources: BTreeSet<_> = packages.iter().filter_map(|package| package.get("source")?.as_str()).collect();
    assert_eq!(sources, BTreeSet::from(["registry+https://github.com/rust-lang/crates.io-index"]));
    // What every build of the functions needs may stand there; settings of one machine do not belong into a repository.
    let settings: Table = text_of(Path::new(".cargo/config.toml")).unwrap().parse().unwrap();
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["env"]);
}
