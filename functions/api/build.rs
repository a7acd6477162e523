//! Makes the contract that is served out of the one that is written.
#![allow(clippy::unwrap_used, reason = "a build fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a build script is told by its environment")]

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};
use std::{env, fs, path::Path};

fn main() {
    let yaml = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../docs/openapi.yaml");
    println!("cargo::rerun-if-changed={}", yaml.display());
    let documents = YamlOwned::load_from_str(&fs::read_to_string(yaml).unwrap()).unwrap();
    assert_eq!(documents.len(), 1, "the contract is one document");
    let json = json_of(&documents[0]).to_string();
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("openapi.json"), json).unwrap();
}

fn json_of(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(scalar) => match scalar {
            ScalarOwned::Null => Value::Null,
            ScalarOwned::Boolean(flag) => json!(flag),
            ScalarOwned::Integer(number) => json!(number),
            ScalarOwned::FloatingPoint(number) => json!(number.into_inner()),
            ScalarOwned::String(text) => json!(text),
        },
        YamlOwned::Sequence(items) => items.iter().map(json_of).collect(),
        YamlOwned::Mapping(members) => {
            let name = |node: &YamlOwned| json_of(node).as_str().map(str::to_owned).unwrap();
            Value::Object(members.iter().map(|(key, value)| (name(key), json_of(value))).collect::<Map<_, _>>())
        }
        other => panic!("the contract holds what JSON does not: {other:?}"),
    }
}
