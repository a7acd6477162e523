//! What may stand in a file, whatever the file is.

use crate::{files, has_extension, none, root, text_of};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
        let broken = links(&text).into_iter().filter(|target| !leads_somewhere(file, target));
        broken.map(|target| format!("{}: {target} is not there", file.display())).collect::<Vec<_>>()
    }));
}

/// The lines of a document that are no block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !is_fence && !in_code
    })
}

/// The targets of a document's links and images, code aside.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| target.split(' ').next().unwrap_or_default().to_owned()));
    }
    links
}

/// What may follow a document's name after `#`: its headings, as GitHub writes them, and the places that it names itself.
fn anchors(text: &str) -> Vec<String> {
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| slug(line.trim_start_matches('#').trim()));
    let named = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    headings.chain(named.map(|(name, _)| name.to_owned())).collect()
}

/// Whether a link in a file leads to a file, and where that is a document of ours, to a place in it.
fn leads_somewhere(file: &Path, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let named = match path {
        "" => root().join(file),
        path => root().join(file).with_file_name(path),
    };
    if anchor.is_empty() || !has_extension(&named, "md") {
        return named.exists() && (!path.is_empty() || !anchor.is_empty());
    }
    fs::read_to_string(named).is_ok_and(|text| anchors(&text).iter().any(|own| own == anchor))
}

#[test]
fn links_are_found_and_code_is_not() {
    let text = "See [a](b.md#c) and ![d](e.png \"title\"), not `[x](y)`.\n```\n[x](y)\n```\n[f](https://g.example)";
    assert_eq!(links(text), ["b.md#c", "e.png", "https://g.example"]);
    let from = |file, target| leads_somewhere(Path::new(file), target);
    assert!(from("README.md", "Cargo.toml") && from("tests/x.md", "../Cargo.toml#x") && from("docs/x.md", "../tests"));
    assert!(from("README.md", "#try-it") && from("docs/local.md", "../README.md#try-it"));
    for nowhere in ["nowhere.md", "#", "#nowhere", "README.md#nowhere", "nowhere.md#try-it"] {
        assert!(!from("README.md", nowhere), "{nowhere}");
    }
    assert_eq!(anchors("# Let us in: `x`, y\n```\n# no\n```\n<a id=\"z\"></a>"), ["let-us-in-x-y", "z"]);
}
