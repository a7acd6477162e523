//! What may stand in a file, whatever the file is.

use crate::{files, has_extension, none, root, text_of};
use std::path::{Path, PathBuf};

#[test]
fn only_platform_reads_the_environment() {
    // Tests have switches of their own, and so has a build.
    let product = |file: &PathBuf| {
        let path = file.to_string_lossy();
        has_extension(file, "rs")
            && ["shared/", "functions/", "cli/"].iter().any(|folder| path.starts_with(folder))
            && !path.starts_with("shared/platform/")
            && !path.contains("/tests/")
            && !path.ends_with("build.rs")
    };
    let words = ["env::var", "env::vars", "env::var_os", "env::set_var", "env::remove_var", "option_env!"];
    none(files("").iter().filter(|file| product(file)).flat_map(|file| {
        let text = text_of(file).unwrap();
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word)));
        lines.map(|(line, _)| format!("{}:{}: reads the environment", file.display(), line + 1)).collect::<Vec<_>>()
    }));
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    // In two parts each, or this file would name them.
    let mut marks = vec![
        concat!("/ho", "me/").to_owned(),
        concat!("/Us", "ers/").to_owned(),
        concat!("/ro", "ot/").to_owned(),
        concat!("C:", "\\Us", "ers").to_owned(),
        concat!("arti", "factory").to_owned(),
        concat!("replace", "-with").to_owned(),
        concat!("sparse", "+http").to_owned(),
        concat!("index", "-url").to_owned(),
    ];
    let own = root().to_string_lossy().into_owned();
    if root().components().count() > 2 {
        marks.push(own);
    }
    none(files("").iter().flat_map(|file| {
        let text = text_of(file).unwrap_or_default();
        let found = marks.iter().filter(|mark| text.contains(mark.as_str()));
        found.map(|mark| format!("{} names {mark}", file.display())).collect::<Vec<_>>()
    }));
}

#[test]
fn nothing_holds_a_private_key() {
    let mark = concat!("PRIVATE", " KEY-----");
    none(
        files("")
            .iter()
            .filter(|file| text_of(file).is_some_and(|text| text.contains(mark)))
            .map(|file| file.display().to_string()),
    );
}

#[test]
fn texts_end_with_one_line_break() {
    let written = ["rs", "toml", "md", "json", "yaml", "yml", "py"];
    none(files("").iter().filter(|file| written.iter().any(|extension| has_extension(file, extension))).filter_map(
        |file| {
            let text = text_of(file)?;
            let ends = text.is_empty() || (text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains('\r'));
            (!ends).then(|| format!("{} does not end with one line break", file.display()))
        },
    ));
}

#[test]
fn links_between_documents_lead_somewhere() {
    none(files("").iter().filter(|file| has_extension(file, "md")).flat_map(|file| {
        let text = text_of(file).unwrap();
        let folder = file.parent().unwrap();
        let broken = links(&text).into_iter().filter(|target| !leads_somewhere(folder, target));
        broken.map(|target| format!("{}: {target} is not there", file.display())).collect::<Vec<_>>()
    }));
}

/// The targets of a document's links and images, code aside.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let prose: String = line.split('`').step_by(2).collect();
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            links.extend(targets.map(|(target, _)| target.split(' ').next().unwrap_or_default().to_owned()));
        }
    }
    links
}

fn leads_somewhere(folder: &Path, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    if path.is_empty() {
        return !anchor.is_empty();
    }
    root().join(folder).join(path).exists()
}

#[test]
fn links_are_found_and_code_is_not() {
    let text = "See [a](b.md#c) and ![d](e.png \"title\"), not `[x](y)`.\n```\n[x](y)\n```\n[f](https://g.example)";
    assert_eq!(links(text), ["b.md#c", "e.png", "https://g.example"]);
    assert!(leads_somewhere(Path::new(""), "Cargo.toml") && leads_somewhere(Path::new("tests"), "../Cargo.toml#x"));
    assert!(!leads_somewhere(Path::new(""), "nowhere.md") && !leads_somewhere(Path::new(""), "#"));
}
