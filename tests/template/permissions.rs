//! The tables of docs/security.md: who may do what, as the template says it. `UPDATE_DOCS=1` writes them anew.

use crate::{functions, list, of_type, properties};
use serde_json::Value;
use std::fmt::Write;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
const BEGIN: &str = "<!-- permissions of the template: begin -->\n";
const END: &str = "<!-- permissions of the template: end -->\n";

#[test]
fn the_document_on_security_names_every_permission() {
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let wanted = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, [before, BEGIN, &wanted, END, after].concat()).unwrap();
    } else {
        assert!(
            written == wanted,
            "docs/security.md is stale: UPDATE_DOCS=1 cargo test -p certbridge-tests --test template"
        );
    }
}

fn tables() -> String {
    let mut text = String::from("\n| who | may | on | if |\n|---|---|---|---|\n");
    for (role, of) in of_type("AWS::IAM::Role") {
        let who = holder(role, of);
        for statement in list(&of["Policies"]).iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])) {
            let may = joined(&statement["Action"], |action| format!("`{}`", text_of(action)));
            let on = joined(&statement["Resource"], resource);
            writeln!(text, "| {who} | {may} | {on} | {} |", condition(&statement["Condition"])).unwrap();
        }
    }
    text.push_str("\n| may invoke | the function | for |\n|---|---|---|\n");
    for of in of_type("AWS::Lambda::Permission").into_values() {
        let invoked = function(&of["FunctionName"]["Ref"]);
        let source = text_of(&of["SourceArn"]["Sub"]);
        let path = source.split_once("${Api}/").unwrap().1.replacen("*/", "", 1).replacen('/', " /", 1);
        let what = if path.starts_with("authorizers") { "its authorizer".to_owned() } else { format!("`{path}`") };
        writeln!(text, "| {} | {invoked} | {what} |", text_of(&of["Principal"])).unwrap();
    }
    text.push('\n');
    text
}

/// The function that has a role, or the service that takes it.
fn holder(role: &str, of: &Value) -> String {
    let has = |resource: &&str| properties(resource)["Role"]["GetAtt"] == format!("{role}.Arn");
    if let Some((binary, _)) = functions().into_iter().find(|(_, resource)| has(resource)) {
        return format!("function `{binary}`");
    }
    let service = text_of(&of["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]);
    format!("{service} as `{role}`")
}

/// The binary of a function's resource.
fn function(name: &Value) -> String {
    let (binary, _) = functions().into_iter().find(|(_, resource)| *name == **resource).unwrap();
    format!("`{binary}`")
}

fn joined(of: &Value, say: impl Fn(&Value) -> String) -> String {
    list(of).iter().map(say).collect::<Vec<_>>().join(", ")
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What a statement is about, in short: an attribute of a resource, a part of one, or a secret.
fn resource(of: &Value) -> String {
    if of == "*" {
        return "everything: AWS takes no resource for it".to_owned();
    }
    let of = text_of(of.as_object().and_then(|of| of.values().next()).unwrap_or_else(|| panic!("{of} names nothing")));
    if let Some((_, secret)) = of.split_once(":secret:${SecretPrefix}") {
        return format!("secret `{}`", secret.trim_end_matches("-??????"));
    }
    if let Some((resource, part)) = of.strip_prefix("${").and_then(|of| of.split_once(".Arn}/")) {
        return format!("`{resource}`, `{part}`");
    }
    match of.split_once('.') {
        Some((resource, "StreamArn")) => format!("the stream of `{resource}`"),
        Some((function, "Arn")) => format!("`{function}`"),
        Some(_) => panic!("{of} is something new"),
        None => format!("`{of}`"),
    }
}

fn condition(of: &Value) -> String {
    let operators = of.as_object().into_iter().flatten();
    let said = operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().unwrap().iter();
        keys.map(move |(key, values)| {
            let values = joined(values, |value| format!("`{}`", text_of(value)));
            format!("{operator} `{key}`: {values}")
        })
    });
    said.collect::<Vec<_>>().join("; ")
}
