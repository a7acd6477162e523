//! What no linter knows of the template: that it agrees with the code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod alarms;
mod machine;
mod notices;
mod permissions;
mod yaml;

use certbridge_platform::{Env, http::routes::ROUTES};
use certbridge_store::schema::{PENDING_INDEX, attribute};
use certbridge_wiring::EngineConfig;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    yaml::to_json(&std::fs::read_to_string(path).unwrap())
});

fn resource(name: &str) -> &'static Value {
    let resource = &TEMPLATE["Resources"][name];
    assert!(resource.is_object(), "there is no {name}");
    resource
}

fn properties(name: &str) -> &'static Value {
    &resource(name)["Properties"]
}

/// The resources of a type, by name.
fn of_type(wanted: &str) -> BTreeMap<&'static str, &'static Value> {
    let all = TEMPLATE["Resources"].as_object().unwrap();
    all.iter().filter(|(_, of)| of["Type"] == wanted).map(|(name, of)| (name.as_str(), &of["Properties"])).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The functions: the binary, with the resource's name.
fn functions() -> BTreeMap<&'static str, &'static str> {
    let all = of_type("AWS::Serverless::Function").into_keys();
    all.map(|name| (resource(name)["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap(), name)).collect()
}

#[test]
fn every_function_of_the_workspace_is_deployed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
    let mut folders: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(functions().into_keys().collect::<Vec<_>>(), folders);
    for name in functions().into_values() {
        assert_eq!(resource(name)["Metadata"]["BuildMethod"], "rust-cargolambda", "{name}");
    }
}

#[test]
fn every_function_has_a_role_and_a_log_of_its_own() {
    let mut roles: Vec<_> = functions().into_values().map(|name| properties(name)["Role"].to_string()).collect();
    let mut logs: Vec<_> =
        functions().into_values().map(|name| properties(name)["LoggingConfig"]["LogGroup"].to_string()).collect();
    for of in [&mut roles, &mut logs] {
        let count = of.len();
        of.sort();
        of.dedup();
        assert_eq!(of.len(), count, "{of:?}");
        assert!(!of.contains(&"null".to_owned()), "{of:?}");
    }
    for (name, log) in of_type("AWS::Logs::LogGroup") {
        assert!(log["RetentionInDays"].is_object(), "{name} keeps for ever");
    }
}

/// Where one function did not trace, the way of an event would have a gap.
#[test]
fn every_function_traces_and_may_say_so() {
    assert_eq!(TEMPLATE["Globals"]["Function"]["Tracing"], "Active");
    for name in functions().into_values() {
        assert!(properties(name)["Tracing"].is_null(), "{name}");
        let role = properties(name)["Role"]["GetAtt"].as_str().unwrap().split('.').next().unwrap();
        let statements = list(&properties(role)["Policies"][0]["PolicyDocument"]["Statement"]);
        let tracing = json!(["xray:PutTraceSegments", "xray:PutTelemetryRecords"]);
        assert_eq!(statements.iter().filter(|statement| statement["Action"] == tracing).count(), 1, "{role}");
    }
}

#[test]
fn tables_are_as_the_code_writes_them() {
    let keys = |of: &Value| -> Vec<(String, String)> {
        let part = |key: &Value| {
            (key["AttributeName"].as_str().unwrap().to_owned(), key["KeyType"].as_str().unwrap().to_owned())
        };
        of["KeySchema"].as_array().unwrap().iter().map(part).collect()
    };
    let hash = |name: &str| (name.to_owned(), "HASH".to_owned());
    let range = |name: &str| (name.to_owned(), "RANGE".to_owned());
    let inbox = properties("InboxTable");
    assert_eq!(keys(inbox), [hash(attribute::PK)]);
    // The very name that is written: another one, and nothing would ever expire.
    assert_eq!(inbox["TimeToLiveSpecification"], json!({"AttributeName": attribute::EXPIRES_AT, "Enabled": true}));
    assert_eq!(inbox["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    let index = &inbox["GlobalSecondaryIndexes"][0];
    assert_eq!(index["IndexName"], PENDING_INDEX);
    assert_eq!(index["Projection"]["ProjectionType"], "KEYS_ONLY");
    assert_eq!(keys(index), [hash(attribute::OPEN), range(attribute::NEXT_AT)]);
    assert_eq!(keys(properties("RecordsTable")), [hash(attribute::PK)]);
    for table in ["AuditTable", "StateTable"] {
        assert_eq!(keys(properties(table)), [hash(attribute::PK), range(attribute::SK)]);
    }
    let types: BTreeMap<_, _> = of_type("AWS::DynamoDB::Table")
        .values()
        .flat_map(|table| table["AttributeDefinitions"].as_array().unwrap())
        .map(|of| (of["AttributeName"].as_str().unwrap(), of["AttributeType"].as_str().unwrap()))
        .filter(|(name, _)| *name != attribute::SK)
        .collect();
    let texts = [attribute::OPEN, attribute::PK, attribute::LISTED, attribute::LISTED_AT].map(|name| (name, "S"));
    assert_eq!(types, texts.into_iter().chain([(attribute::NEXT_AT, "N")]).collect());
}

#[test]
fn what_must_not_be_lost_is_kept() {
    for (name, table) in of_type("AWS::DynamoDB::Table") {
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{name}");
    }
    for name in ["RecordsTable", "AuditTable"] {
        assert_eq!(properties(name)["DeletionProtectionEnabled"], true, "{name}");
    }
    let secrets = of_type("AWS::SecretsManager::Secret").into_keys();
    for name in of_type("AWS::DynamoDB::Table").into_keys().chain(secrets) {
        assert_eq!(resource(name)["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn reports_are_kept_and_open_to_nobody() {
    assert_eq!(resource("ReportsBucket")["DeletionPolicy"], "Retain");
    assert_eq!(resource("ReportsBucket")["UpdateReplacePolicy"], "Retain");
    let bucket = properties("ReportsBucket");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    let block = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert_eq!(block.len(), 4);
    assert!(block.values().all(|blocked| blocked == true), "{block:?}");
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    let of = |id: &str| rules.iter().find(|rule| rule["Id"] == id && rule["Status"] == "Enabled").unwrap();
    // What is kept for good no rule takes away.
    let expires: Vec<_> = rules.iter().filter(|rule| !rule["ExpirationInDays"].is_null()).collect();
    assert_eq!(expires, [of("work"), of("requests")]);
    assert_eq!((&of("work")["Prefix"], number(&of("work")["ExpirationInDays"])), (&json!("work/"), 7));
    assert_eq!(of("requests")["Prefix"], "requests/");
    assert_eq!(number(&of("replaced")["NoncurrentVersionExpiration"]["NoncurrentDays"]), 30);
    let policy = properties("ReportsPolicy");
    assert_eq!(policy["Bucket"], json!({"Ref": "ReportsBucket"}));
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!((&statement["Effect"], &statement["Principal"]), (&json!("Deny"), &json!("*")));
    assert_eq!(statement["Condition"], json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert_eq!(
        list(&statement["Resource"]),
        [json!({"GetAtt": "ReportsBucket.Arn"}), json!({"Sub": "${ReportsBucket.Arn}/*"})]
    );
}

#[test]
fn checkpoints_are_kept_for_good_and_can_be_locked() {
    assert_eq!(resource("CheckpointsBucket")["DeletionPolicy"], "Retain");
    assert_eq!(resource("CheckpointsBucket")["UpdateReplacePolicy"], "Retain");
    let (bucket, reports) = (properties("CheckpointsBucket"), properties("ReportsBucket"));
    for same in ["BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls", "VersioningConfiguration"] {
        assert_eq!(bucket[same], reports[same], "{same}");
    }
    assert!(bucket["LifecycleConfiguration"].is_null());
    assert_eq!(bucket["ObjectLockEnabled"], true);
    let lock = &bucket["ObjectLockConfiguration"]["If"];
    assert_eq!(lock[0], "HasObjectLock");
    assert_eq!(
        lock[1]["Rule"]["DefaultRetention"],
        json!({"Mode": {"Ref": "ObjectLockMode"}, "Days": {"Ref": "ObjectLockDays"}})
    );
    let policy = properties("CheckpointsPolicy");
    assert_eq!(policy["PolicyDocument"]["Statement"][0]["Sid"], "OnlyOverTls");
    assert_eq!(properties("NightlyCheckpoint")["Target"]["Input"], r#"{"task": "checkpoint"}"#);
}

#[test]
fn every_route_stands_behind_its_scope() {
    let routes = of_type("AWS::ApiGatewayV2::Route");
    let mut keys: Vec<_> = routes.values().map(|route| route["RouteKey"].as_str().unwrap()).collect();
    let mut wanted: Vec<_> = ROUTES.iter().map(|route| route.key).collect();
    keys.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    for route in ROUTES {
        let deployed = routes.values().find(|deployed| deployed["RouteKey"] == route.key).unwrap();
        let guarded =
            deployed["AuthorizationType"] == "CUSTOM" && deployed["AuthorizerId"] == json!({"Ref": "KeyAuthorizer"});
        assert_eq!(guarded, route.scope.is_some(), "{}", route.key);
        let target = deployed["Target"]["Sub"].as_str().unwrap();
        let integration = target.strip_prefix("integrations/${").and_then(|rest| rest.strip_suffix('}')).unwrap();
        let wanted = json!({"GetAtt": format!("{}.Arn", functions()[route.function])});
        assert_eq!(properties(integration)["IntegrationUri"], wanted, "{}", route.key);
        assert_eq!(properties(integration)["PayloadFormatVersion"], "2.0", "{}", route.key);
    }
    // The answer for one route must not be remembered for another, and a revoked key is to be dead soon.
    let authorizer = properties("KeyAuthorizer");
    assert_eq!(authorizer["AuthorizerResultTtlInSeconds"], 0);
    assert_eq!(authorizer["IdentitySource"], Value::Null);
}

#[test]
fn logs_of_the_gateway_hold_no_path() {
    let format = properties("Stage")["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(format.contains("$context.routeKey"), "{format}");
    for leak in ["$context.path", "$context.httpMethod $context", "protocol", "authorizer.", "$context.resourcePath"] {
        assert!(!format.contains(leak), "{leak} in {format}");
    }
    serde_json::from_str::<Value>(format).unwrap();
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

#[test]
fn times_fit_into_one_another() {
    let timeout = |binary: &str| number(&properties(functions()[binary])["Timeout"]);
    for binary in ["webhook", "sync-certificate", "api", "authorizer"] {
        assert!(timeout(binary) < 30, "the gateway does not wait for {binary}");
    }
    // Six times, as AWS asks for; and longer than the lease of a worker who died, which ends two seconds after it.
    let queue = properties("RetryQueue");
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * timeout("sync-event"));
    assert!(number(&queue["VisibilityTimeout"]) > timeout("sync-event") + 2);
    assert!(number(&queue["RedrivePolicy"]["maxReceiveCount"]) >= 5);
    assert!(
        number(&queue["MessageRetentionPeriod"]) < number(&properties("RetryDeadLetters")["MessageRetentionPeriod"])
    );
}

#[test]
fn batches_fail_in_part_and_never_for_ever() {
    let stream = properties("InboxStream");
    for source in [stream, properties("RetrySource")] {
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        assert_eq!(source["FunctionName"], json!({"Ref": functions()["sync-event"]}));
    }
    assert_eq!(stream["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(stream["BisectBatchOnFunctionError"], true);
    assert!(number(&stream["MaximumRetryAttempts"]) > 0);
    assert_eq!(stream["DestinationConfig"]["OnFailure"]["Destination"], json!({"GetAtt": "StreamDeadLetters.Arn"}));
    let pattern: Value =
        serde_json::from_str(stream["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap()).unwrap();
    assert_eq!(
        pattern,
        json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {(attribute::STATE): {"S": ["pending"]}}}})
    );
    assert!(properties("RetrySource")["ScalingConfig"]["MaximumConcurrency"].is_object());
    let sweep = properties("Sweep")["Target"]["Input"].as_str().unwrap();
    sync_event::Trigger::try_from(serde_json::from_str::<Value>(sweep).unwrap()).unwrap();
}

/// The variables of a function, with something readable for each.
fn variables(binary: &str) -> BTreeMap<String, String> {
    assert!(TEMPLATE["Globals"]["Function"]["Environment"].is_null(), "each function gets only what it reads");
    let own = properties(functions()[binary])["Environment"]["Variables"].as_object();
    own.into_iter()
        .flatten()
        .map(|(name, _)| {
            let value = match name.as_str() {
                "DESTINATION" => "snapshots",
                "REPORTS_URL" => "s3://reports",
                name if name.ends_with("_URL") => "https://example.com",
                _ => "x",
            };
            (name.clone(), value.to_owned())
        })
        .collect()
}

#[test]
fn functions_get_what_they_read_and_no_more() {
    let webhook = |env: &Env| webhook::Config::read(env).map(drop);
    let engine = |env: &Env| EngineConfig::read(env).map(drop);
    let api = |env: &Env| api::Config::read(env).map(drop);
    type Read<'a> = &'a dyn Fn(&Env) -> Result<(), certbridge_platform::ConfigError>;
    let batch_sync = |env: &Env| batch_sync::Config::read(env).map(drop);
    let notify = |env: &Env| notify::Config::read(env).map(drop);
    let deliver = |env: &Env| deliver::Config::read(env).map(drop);
    let reads: [(&str, Read<'_>); 7] = [
        ("webhook", &webhook),
        ("sync-event", &engine),
        ("sync-certificate", &engine),
        ("api", &api),
        ("batch-sync", &batch_sync),
        ("notify", &notify),
        ("deliver", &deliver),
    ];
    for (binary, read) in reads {
        let all = variables(binary);
        read(&all.clone().into_iter().collect()).unwrap();
        // These have defaults; another source's address is read where it is needed.
        let optional =
            ["SECRET_PREFIX", "DESTINATION", "ACCREDIBLE_URL", "CERTIFYLIZE_URL", "HIGHLEVEL_URL", "CHECKPOINTS_URL"];
        for name in all.keys().filter(|name| !optional.contains(&name.as_str())) {
            let without = all.clone().into_iter().filter(|(other, _)| other != name);
            assert!(read(&without.collect()).is_err(), "{binary} does not read {name}");
        }
    }
    assert_eq!(variables("authorizer").into_keys().collect::<Vec<_>>(), ["SECRET_PREFIX"]);
}

#[test]
fn no_secret_stands_in_the_template() {
    for (name, secret) in of_type("AWS::SecretsManager::Secret") {
        let text = secret["SecretString"].as_str();
        assert!(text.is_none_or(|text| ["{}", "{\"keys\": []}", "{\"endpoints\": []}"].contains(&text)), "{name}");
    }
}
