//! CloudFormation's YAML as JSON: `!Ref x` is `{"Ref": "x"}`, and so on for every tag.

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

pub(crate) fn to_json(text: &str) -> Value {
    let documents = YamlOwned::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    json_of(&documents[0])
}

fn json_of(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(scalar) => scalar_of(scalar),
        YamlOwned::Sequence(items) => items.iter().map(json_of).collect(),
        YamlOwned::Mapping(members) => {
            let member = |(name, value): (&YamlOwned, &YamlOwned)| (key_of(name), json_of(value));
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        YamlOwned::Tagged(tag, node) => json!({ (tag.suffix.clone()): json_of(node) }),
        YamlOwned::Representation(text, _, Some(tag)) => json!({ (tag.suffix.clone()): text }),
        YamlOwned::Representation(text, _, None) => json!(text),
        YamlOwned::Alias(_) | YamlOwned::BadValue => panic!("the template holds what YAML does not"),
    }
}

fn key_of(node: &YamlOwned) -> String {
    match json_of(node) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn scalar_of(scalar: &ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(flag) => json!(flag),
        ScalarOwned::Integer(number) => json!(number),
        ScalarOwned::FloatingPoint(number) => json!(number.into_inner()),
        ScalarOwned::String(text) => json!(text),
    }
}
