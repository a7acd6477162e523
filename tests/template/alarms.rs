//! Alarms, the dashboard and the runbook, held to the metrics that are emitted.

use crate::{TEMPLATE, functions, list, number, of_type, properties, resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;
/// Whether a function emits a metric of ours, by what stands in its source.
fn emits(function: &str, metric: &str) -> bool {
    let folder = format!("functions/{function}");
    let quoted = format!("\"{metric}\"");
    // What the code that they share tells of itself, where it is given the metrics.
    let by_platform = (says("shared/platform", &quoted) && says(&folder, ".telling("))
        || (says("shared/platform/src/definitions.rs", &quoted) && says(&folder, "refresh("));
    says(&folder, &quoted) || by_platform
}

/// Whether a crate's source, or a file, has a text.
fn says(place: &str, text: &str) -> bool {
    sources(place).iter().any(|source| source.contains(text))
}

/// The source of a crate, or of one file.
fn sources(place: &str) -> Vec<String> {
    let path = format!("{}/../{place}", env!("CARGO_MANIFEST_DIR"));
    if place.ends_with(".rs") {
        return vec![std::fs::read_to_string(path).unwrap()];
    }
    let files = std::fs::read_dir(format!("{path}/src")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The metrics of ours that an alarm watches: function and name.
fn watched(alarm: &'static Value) -> Vec<(&'static str, &'static str)> {
    let several = alarm["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
    several
        .chain([alarm])
        .filter(|metric| metric["Namespace"] == certbridge_platform::metrics::NAMESPACE)
        .map(|metric| {
            let dimension = &metric["Dimensions"][0];
            assert_eq!(dimension["Name"], "Function", "{metric}");
            (dimension["Value"].as_str().unwrap(), metric["MetricName"].as_str().unwrap())
        })
        .collect()
}

/// The alarms on metrics of ours watch what is emitted: another name, and nobody would ever be told.
#[test]
fn alarms_watch_metrics_that_are_emitted() {
    let mut all = 0;
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        assert!(alarm["AlarmActions"].is_object() || alarm["AlarmActions"].is_array(), "{name} tells nobody");
        for (function, metric) in watched(alarm) {
            assert!(emits(function, metric), "{name}: {function} does not emit {metric}");
            all += 1;
        }
    }
    assert_eq!(all, 19);
}

#[test]
fn every_source_may_be_missed() {
    let watched: BTreeSet<_> = of_type("AWS::CloudWatch::Alarm")
        .into_iter()
        .filter_map(|(name, alarm)| Some((name.strip_suffix("SilenceAlarm")?, alarm)))
        .map(|(name, alarm)| {
            let hours = format!("{name}SilenceHours");
            assert_eq!(alarm["EvaluationPeriods"], json!({"Ref": hours}), "{name}");
            assert_eq!(TEMPLATE["Parameters"][&hours]["Default"], 0, "{name}");
            // A metric of which nothing comes is what it is about. One period of it is the hour of the parameter.
            assert_eq!(alarm["TreatMissingData"], "breaching", "{name}");
            let metrics = alarm["Metrics"].as_array().map_or_else(
                || vec![(alarm, &alarm["Period"])],
                |all| all[1..].iter().map(|one| (&one["MetricStat"]["Metric"], &one["MetricStat"]["Period"])).collect(),
            );
            assert!(metrics.iter().all(|(_, period)| number(period) == 3600), "{name}");
            let sources: BTreeSet<_> =
                metrics.iter().map(|(metric, _)| metric["Dimensions"][1]["Value"].to_string()).collect();
            assert_eq!(sources.len(), 1, "{name}");
            let source = sources.into_iter().next().unwrap().trim_matches('"').to_owned();
            (source, metrics.len() == 2)
        })
        .collect();
    // A poll is as good a sign of life as a delivery.
    let definitions = certbridge_mapping::Definitions::built_in();
    let declared = definitions.sources().map(|source| {
        let polled = source.records.values().filter_map(|rules| rules.listed.as_ref()).any(|listed| listed.poll);
        (source.name.clone(), polled)
    });
    assert_eq!(watched, declared.collect());
}

/// The body of the dashboard, whose references are texts within it.
fn dashboard() -> Value {
    serde_json::from_str(properties("Dashboard")["DashboardBody"]["Sub"].as_str().unwrap()).unwrap()
}

#[test]
fn the_dashboard_shows_metrics_that_are_emitted() {
    let body = dashboard();
    let mut shown = 0;
    for widget in body["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "metric") {
        for metric in list(&widget["properties"]["metrics"]) {
            let (function, name) = match metric[0]["expression"].as_str() {
                Some(search) => {
                    let quoted =
                        |after: &str| search.split_once(after).unwrap().1.split('"').next().unwrap().to_owned();
                    assert!(search.starts_with("SEARCH('{Certbridge,Function,"), "{search}");
                    (quoted("Function=\""), quoted("MetricName=\""))
                }
                None if metric[0] == certbridge_platform::metrics::NAMESPACE => {
                    assert_eq!(metric[2], "Function", "{metric}");
                    (metric[3].as_str().unwrap().to_owned(), metric[1].as_str().unwrap().to_owned())
                }
                None => {
                    assert!(metric[0].as_str().unwrap().starts_with("AWS/"), "{metric}");
                    continue;
                }
            };
            assert!(emits(&function, &name), "{function} does not emit {name}");
            shown += 1;
        }
    }
    assert!(shown > 30, "{shown}");
}

#[test]
fn the_dashboard_is_of_what_the_template_makes() {
    let body = dashboard().to_string();
    for reference in body.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        let name = reference.split('.').next().unwrap();
        assert!(name == "AWS::Region" || resource(name).is_object(), "{reference}");
    }
    for function in functions().into_values() {
        assert_eq!(body.matches(&format!("\"Errors\",\"FunctionName\",\"${{{function}}}\"")).count(), 1, "{function}");
    }
    for name in of_type("AWS::CloudWatch::Alarm").into_keys() {
        // One that is made only on a condition cannot be named without it.
        let conditional = resource(name)["Condition"].is_string();
        assert_eq!(body.contains(&format!("${{{name}.Arn}}")), !conditional, "{name}");
    }
}

fn operations() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap()
}

#[test]
fn every_alarm_has_an_entry_in_the_runbook() {
    let text = operations();
    let runbook = text.split_once("\n## Runbook\n").unwrap().1;
    let mut entries: Vec<_> = runbook.split("\n### ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect();
    for (name, entry) in &entries {
        for part in ["**Means.** ", "**Look.** ", "**Do.** ", "**Over** "] {
            assert!(entry.contains(&format!("\n- {part}")), "{name} lacks {part}");
        }
    }
    entries.sort_unstable();
    let names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, of_type("AWS::CloudWatch::Alarm").into_keys().collect::<Vec<_>>());
}

/// A metric's name in a line of source, where it is one that is emitted.
fn emitted_in(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once('"')?;
    let name = rest.split('"').next()?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(char::is_alphanumeric);
    let emitted = before.ends_with(".count(") || (before.ends_with('(') && line.contains("Unit::"));
    (is_name && emitted).then_some(name)
}

#[test]
fn every_metric_is_in_the_table_of_metrics() {
    let text = operations();
    let table = text.split_once("\n### Metrics\n").unwrap().1.split("\n#").next().unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let all: Vec<_> = functions().into_keys().collect();
    let mut told = BTreeSet::new();
    for row in &rows {
        let metric = row[1].trim_matches('`');
        let of: Vec<_> = if row[4].starts_with("every one") { Vec::new() } else { row[4].split(", ").collect() };
        for function in &of {
            assert!(emits(function, metric), "{function} does not emit {metric}");
            assert!(told.insert((*function, metric)), "{metric} of {function} is told twice");
        }
        if of.is_empty() {
            assert!(all.iter().any(|function| emits(function, metric)), "nobody emits {metric}");
        }
    }
    for function in all {
        for source in sources(&format!("functions/{function}")) {
            for metric in source.lines().filter_map(emitted_in) {
                assert!(told.contains(&(function, metric)), "{metric} of {function} is not told of");
            }
        }
    }
}
