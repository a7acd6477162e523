//! `docs/openapi.yaml`, which the function serves: it names every route, and every answer is as it says.

use crate::world::{Reply, World};
use certbridge_platform::http::routes::ROUTES;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::LazyLock};

/// The contract, as it is served.
pub(crate) static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
    serde_json::from_str(text).unwrap()
});

/// Holds an answer against what the contract says of a route.
#[track_caller]
pub(crate) fn holds(key: &str, reply: &Reply) {
    let (method, path) = key.split_once(' ').unwrap();
    let operation = &CONTRACT["paths"][path][method.to_ascii_lowercase()];
    let status = reply.0.status_code.to_string();
    let mut told = &operation["responses"][&status];
    assert!(told.is_object(), "{key} has no answer {status}: {reply:?}");
    if let Some(name) = told["$ref"].as_str() {
        told = CONTRACT.pointer(name.trim_start_matches('#')).unwrap();
    }
    for (name, header) in told["headers"].as_object().into_iter().flatten() {
        let header = header["$ref"].as_str().map_or(header, |name| CONTRACT.pointer(&name[1..]).unwrap());
        let found = reply.header(&name.to_ascii_lowercase());
        assert!(found.is_some() || header["required"] != true, "{key} {status} lacks {name}");
    }
    let Some(content) = told["content"].as_object() else {
        return assert_eq!(reply.0.body, "", "{key} {status} has no body");
    };
    let media = reply.0.headers["content-type"].split(';').next().unwrap();
    let schema = content.get(media).unwrap_or_else(|| panic!("{key} {status} is no {media}"));
    if !media.ends_with("json") {
        return;
    }
    // By reference, so that what it refers to is found in the same document.
    let mut document = CONTRACT.clone();
    document["$ref"] = json!("#/components/wanted");
    document["components"]["wanted"] = schema["schema"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&document).unwrap();
    let body = reply.json();
    let faults: Vec<_> =
        validator.iter_errors(&body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{key} {status}: {faults:#?}\n{body:#}");
}

#[test]
fn it_names_every_route_and_the_scope_of_each() {
    let mut named = BTreeSet::new();
    for (path, operations) in CONTRACT["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let key = format!("{} {path}", method.to_ascii_uppercase());
            let route = ROUTES.iter().find(|route| route.key == key).unwrap_or_else(|| panic!("{key} is no route"));
            assert_eq!(operation["x-scope"].as_str(), route.scope, "{key}");
            // Without a scope, anyone may call: the contract has to say so, since a key is its default.
            assert_eq!(operation["security"] == json!([]), route.scope.is_none(), "{key}");
            let in_path = path.matches('{').count();
            let declared = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| {
                let parameter =
                    parameter["$ref"].as_str().map_or(*parameter, |name| CONTRACT.pointer(&name[1..]).unwrap());
                parameter["in"] == "path"
            });
            assert_eq!(declared.count(), in_path, "{key}");
            named.insert(key);
        }
    }
    assert_eq!(named, ROUTES.iter().map(|route| route.key.to_owned()).collect());
}

#[test]
fn it_is_a_schema_in_every_part() {
    for (name, schema) in CONTRACT["components"]["schemas"].as_object().unwrap() {
        let mut document = CONTRACT.clone();
        document["$ref"] = json!(format!("#/components/schemas/{name}"));
        assert!(jsonschema::validator_for(&document).is_ok(), "{name}: {schema}");
    }
}

#[tokio::test]
async fn it_is_served_to_anyone_and_only_once_to_whoever_has_it() {
    let world = World::new();
    for key in ["GET /openapi.json", "GET /dashboard", "GET /health"] {
        let reply = world.anyone(key, None).await;
        holds(key, &reply);
        assert_eq!(reply.0.status_code, 200, "{key}");
        let etag = reply.header("etag").unwrap().to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let again = world.anyone(key, Some(&known)).await;
            assert_eq!((again.0.status_code, again.0.body.as_str()), (304, ""), "{key} {known}");
            assert_eq!(again.header("etag"), Some(etag.as_str()));
        }
        assert_eq!(world.anyone(key, Some("\"another\"")).await.0.status_code, 200);
    }
    assert_eq!(world.anyone("GET /openapi.json", None).await.json(), *CONTRACT);
}

#[tokio::test]
async fn whatever_needs_a_key_says_so() {
    let world = World::new();
    for route in ROUTES.iter().filter(|route| route.function == "api" && route.scope.is_some()) {
        let reply = world.anyone(route.key, None).await;
        holds(route.key, &reply);
        assert_eq!(reply.problem(401).0, "unauthorized", "{}", route.key);
    }
}
