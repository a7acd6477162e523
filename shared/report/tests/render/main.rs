//! What may be relied on in every form, whatever stands in a report.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use certbridge_report::{Csv, TrendPoint, headline, html, json, mail};
use certbridge_sync::reconcile::*;
use fastrand::Rng;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use std::{collections::HashSet, fs, path::Path};
use support::{HOSTILE, PERSONAL, data};

/// How many random reports a test renders.
const RUNS: u64 = 60;

fn random() -> impl Iterator<Item = (Report, Vec<TrendPoint>)> {
    (0..RUNS).map(|seed| {
        let mut rng = Rng::with_seed(seed);
        (support::report(&mut rng), support::trend(&mut rng))
    })
}

fn page(report: &Report, trend: &[TrendPoint]) -> String {
    html(report, trend, Some(&report.batch_id)).unwrap()
}

fn select<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_unseen(char: char) -> bool {
    (char.is_control() && char != '\n')
        || "\u{202a}\u{202c}\u{202e}\u{2066}\u{2069}\u{200f}\u{feff}\u{2028}".contains(char)
}

// JSON

fn schema() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn the_schema_describes_every_report() {
    let schema = schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for (report, _) in random().chain([(data::report(), Vec::new())]) {
        let json: Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
        let faults: Vec<_> = validator.iter_errors(&json).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

#[test]
fn the_schema_is_as_strict_as_the_report() {
    let schema = schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let sample: Value = serde_json::from_str(&json(&data::report()).unwrap()).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], Report::SCHEMA);
    assert_eq!(schema["properties"]["findings"]["maxItems"], Report::MAX_FINDINGS);
    let tells = |finding: &Value| finding["fields"].as_array().is_some_and(|fields| fields.len() == 3);
    let index = sample["findings"].as_array().unwrap().iter().position(tells).unwrap();
    let personal = format!("/findings/{index}/fields/2/expected");
    let mut fewer: Vec<Value> = Vec::new();
    for name in sample.as_object().unwrap().keys() {
        let mut without = sample.clone();
        without.as_object_mut().unwrap().remove(name);
        fewer.push(without);
    }
    let changed = [
        ("/schema", 2.into()),
        ("/verdict", "fine".into()),
        ("/finished_at", "yesterday".into()),
        ("/totals/records", (-1).into()),
        ("/findings/0/outcome", "lost".into()),
        (personal.as_str(), PERSONAL.into()),
        ("/coverage/own", serde_json::json!({"rows": 1})),
    ];
    let changed = changed.map(|(place, value)| {
        let mut changed = sample.clone();
        *changed.pointer_mut(place).expect(place) = value;
        changed
    });
    for broken in fewer.iter().chain(&changed) {
        assert!(!validator.is_valid(broken), "{broken:#}");
    }
}

#[test]
fn json_reads_back_as_the_report() {
    let report = data::report();
    assert_eq!(serde_json::from_str::<Report>(&json(&report).unwrap()).unwrap(), report);
}

// CSV

/// Takes off again what keeps a spreadsheet from seeing a formula, by the rule that `Csv` documents.
fn unguarded(text: &str) -> String {
    let tempting = |rest: &str| {
        let passed = |char: char| {
            (char.is_whitespace() && !"\t\r\n".contains(char)) || is_invisible(char) || "\"'`‘’“”＂＇".contains(char)
        };
        rest.trim_start_matches(passed).starts_with(FORMULA)
    };
    let mut plain = String::new();
    let mut at_start = true;
    for (index, char) in text.char_indices() {
        if char == '\'' && at_start && tempting(&text[index + 1..]) {
            at_start = false;
            continue;
        }
        plain.push(char);
        at_start = ",;|\t\r\n".contains(char);
    }
    plain
}

const FORMULA: [char; 16] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '−', '﹢', '﹣', '﹦', '﹫', '\t', '\r', '\n'];

/// Of all that `rng.char` may make, what spreadsheets pass over.
fn is_invisible(char: char) -> bool {
    (char.is_control() && !"\t\r\n".contains(char))
        || matches!(u32::from(char), 0xad | 0x61c | 0x180e | 0xfeff | 0xfffe | 0xffff | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

fn shown_fields(finding: &Finding) -> String {
    let shown = finding.fields.iter().map(|field| match field.personal {
        true => format!("{}: personal", field.field),
        false => format!("{}: expected {}, found {}", field.field, field.expected, field.found),
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[test]
fn csv_gives_the_findings_back() {
    let mut rng = Rng::with_seed(1);
    let findings: Vec<_> = (0..2000).map(|_| support::finding(&mut rng)).collect();
    let csv = support::csv(&findings);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), &Csv::<Vec<u8>>::HEADER[..]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), findings.len());
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    for (row, finding) in rows.iter().zip(&findings) {
        let read: Vec<_> = row.iter().map(unguarded).collect();
        let expected = [
            finding.id.clone(),
            word(serde_json::to_value(finding.outcome).unwrap()),
            word(serde_json::to_value(finding.drift).unwrap()),
            finding.since.map(|since| since.to_string()).unwrap_or_default(),
            finding.location_id.clone().unwrap_or_default(),
            finding.repaired.to_string(),
            finding.fields.len().to_string(),
            shown_fields(finding),
            finding.reason.clone().unwrap_or_default(),
        ];
        assert_eq!(read, expected);
    }
}

#[test]
fn no_cell_begins_a_formula_whatever_cuts_the_line() {
    let mut rng = Rng::with_seed(2);
    let findings: Vec<_> = (0..500).map(|_| support::finding(&mut rng)).collect();
    let csv = support::csv(&findings);
    let ignored = |char: char| char.is_whitespace() || is_invisible(char) || "\"`‘’“”＂＇".contains(char);
    // As RFC 4180 reads it, and as somebody reads it who cuts at every sign that could separate.
    let cells: Vec<String> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(csv.as_bytes())
        .records()
        .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for cell in cells.iter().map(String::as_str).chain(csv.split([',', ';', '|', '\t', '\r', '\n'])) {
        let begin = cell.trim_start_matches(ignored);
        assert!(!begin.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{cell:?}");
    }
    assert!(cells.iter().all(|cell| !cell.starts_with(['\t', '\r'])));
}

#[test]
fn csv_ends_its_lines_as_the_rfc_says() {
    let csv = support::csv(&data::report().findings);
    assert_eq!(csv.matches("\r\n").count(), data::report().findings.len() + 1);
    assert!(csv.starts_with("id,outcome,") && csv.ends_with("\r\n") && !csv.replace("\r\n", "").contains(['\r', '\n']));
    assert_eq!(support::csv(&[]), format!("{}\r\n", Csv::<Vec<u8>>::HEADER.join(",")));
}

/// Counts, and keeps nothing.
struct Sink(u64);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn csv_is_written_as_it_comes() {
    let mut rng = Rng::with_seed(3);
    let finding = support::finding(&mut rng);
    let mut csv = Csv::new(Sink(0)).unwrap();
    for _ in 0..20_000 {
        csv.write(&finding).unwrap();
    }
    let one = support::csv(std::slice::from_ref(&finding)).len() as u64 - support::csv(&[]).len() as u64;
    assert_eq!(csv.finish().unwrap().0, support::csv(&[]).len() as u64 + 20_000 * one);
}

#[test]
fn what_cannot_be_written_is_said() {
    let full: &mut [u8] = &mut [0; 100];
    let mut csv = Csv::new(full).unwrap();
    let written = data::report().findings.iter().try_for_each(|finding| csv.write(finding));
    assert!(written.and_then(|()| csv.finish().map(drop)).is_err());
}

// HTML

#[test]
fn a_page_holds_nothing_that_acts() {
    let elements: HashSet<_> = "html head meta title style body header main section h1 h2 p ul li dl dt dd div table caption \
        thead tbody tfoot tr th td figure figcaption svg desc rect line polyline text circle details summary small span \
        strong em bdi time"
        .split_whitespace()
        .collect();
    let attributes: HashSet<_> = "lang charset http-equiv content name class id role tabindex scope colspan datetime \
        aria-labelledby viewBox x y dy x1 y1 x2 y2 cx cy r width height points fill stroke stroke-width opacity \
        font-family font-size text-anchor"
        .split_whitespace()
        .collect();
    for (report, trend) in random().chain([(data::report(), data::trend(&data::report()))]) {
        let page = Html::parse_document(&page(&report, &trend));
        for element in select(&page, "*").into_iter().map(|element| element.value()) {
            assert!(elements.contains(element.name()), "<{}>", element.name());
            for (name, value) in element.attrs() {
                assert!(attributes.contains(name), "{name}={value:?}");
                assert!(!value.contains("url(") && !value.contains("javascript:"), "{name}={value:?}");
            }
        }
        assert_eq!(select(&page, "style").len(), 1);
        let style = text(select(&page, "style")[0]);
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}

#[test]
fn a_page_is_the_same_whatever_the_texts_hold() {
    // The parser must find the elements that the template wrote, and no others: no text broke out of its place.
    let shape = |report: &Report| {
        let page = Html::parse_document(&page(report, &[]));
        assert!(page.errors.is_empty(), "{:?}", page.errors);
        select(&page, "*").iter().map(|element| element.value().name().to_owned()).collect::<Vec<_>>()
    };
    let with = |text: &str| {
        let mut report = data::report();
        let text = text.to_owned();
        for place in [&mut report.batch_id, &mut report.started_by, &mut report.source, &mut report.kind] {
            place.clone_from(&text);
        }
        report.remarks = vec![text.clone()];
        report.checkpoint = Some(text.clone());
        for location in &mut report.by_location {
            location.location_id = Some(text.clone());
        }
        for finding in &mut report.findings {
            finding.id.clone_from(&text);
            finding.reason = Some(text.clone());
            finding.location_id = Some(text.clone());
            for field in &mut finding.fields {
                (field.field, field.expected) = (text.clone(), text.clone().into());
            }
        }
        report
    };
    let plain = shape(&with("plain"));
    for text in HOSTILE.iter().map(|text| (*text).to_owned()).chain(["x".repeat(100_000), "<".repeat(100_000)]) {
        assert_eq!(shape(&with(&text)), plain, "{text:?}");
    }
}

#[test]
fn texts_are_shown_as_they_are_and_what_is_unseen_is_named() {
    let mut report = data::report();
    report.remarks = vec!["<b>\u{202e}\n&amp;".into()];
    let page = page(&report, &[]);
    assert_eq!(text(select(&Html::parse_document(&page), ".remarks li")[0]), "<b>[U+202E][U+000A]&amp;");
    for (report, trend) in random() {
        let page = self::page(&report, &trend);
        assert!(!page.chars().any(is_unseen), "{:?}", page.chars().find(|char| is_unseen(*char)));
    }
}

#[test]
fn a_page_can_be_read_by_everybody() {
    for (report, trend) in random().chain([(data::report(), data::trend(&data::report()))]) {
        let page = Html::parse_document(&page(&report, &trend));
        assert_eq!(select(&page, "html[lang=en]").len(), 1);
        assert_eq!((select(&page, "h1").len(), select(&page, "main").len()), (1, 1));
        assert!(!text(select(&page, "title")[0]).is_empty());
        for table in select(&page, "table") {
            let count = |selector| table.select(&Selector::parse(selector).unwrap()).count();
            assert_eq!(count("caption"), 1);
            assert_eq!(count("th"), count("th[scope]"));
            assert_eq!(count("thead th"), count("thead th[scope=col]"));
            assert_eq!(count("tbody tr"), count("tbody tr > th[scope=row]:first-child"));
        }
        for svg in select(&page, "svg") {
            assert_eq!(svg.attr("role"), Some("img"));
            for id in svg.attr("aria-labelledby").unwrap().split(' ') {
                assert!(!text(svg.select(&Selector::parse(&format!("#{id}")).unwrap()).next().unwrap()).is_empty());
            }
            let names: Vec<_> = svg.child_elements().map(|child| child.value().name()).take(2).collect();
            assert_eq!(names, ["title", "desc"]);
        }
        let ids: Vec<_> = select(&page, "[id]").into_iter().map(|element| element.attr("id").unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "an id stands for one element");
        for element in select(&page, "[aria-labelledby]") {
            let named = element.attr("aria-labelledby").unwrap().split(' ');
            assert!(named.into_iter().all(|id| ids.contains(&id)));
        }
    }
}

#[test]
fn the_policy_is_stated() {
    let page = page(&data::report(), &[]);
    let page = Html::parse_document(&page);
    let policy = select(&page, "meta[http-equiv=Content-Security-Policy]")[0].attr("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
}

/// The table with this caption's section, as text.
fn rows(page: &Html, section: &str) -> Vec<Vec<String>> {
    let cells = Selector::parse("th, td").unwrap();
    select(page, &format!("section[aria-labelledby={section}] tr"))
        .into_iter()
        .map(|row| row.select(&cells).map(text).collect())
        .collect()
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap()
}

#[test]
fn the_totals_shown_are_the_reports() {
    for (report, trend) in random().chain([(data::report(), data::trend(&data::report()))]) {
        let page = Html::parse_document(&page(&report, &trend));
        let totals = rows(&page, "totals");
        let outcomes: u64 = totals[1..9].iter().fold(0, |sum, row| sum.saturating_add(number(&row[1])));
        assert_eq!(number(&totals[9][1]), report.totals.records);
        assert_eq!(outcomes, report.totals.outcomes.values().fold(0u64, |sum, count| sum.saturating_add(*count)));
        let matched = report.totals.outcomes.get(&Outcome::Matched).copied().unwrap_or_default();
        assert_eq!(number(&totals[1][1]), matched);
        let causes = rows(&page, "causes").iter().skip(1).fold(0u64, |sum, row| sum.saturating_add(number(&row[1])));
        assert_eq!(causes, report.totals.drift.values().fold(0u64, |sum, count| sum.saturating_add(*count)));
        // Those that have no line of their own are in the last one.
        let locations = rows(&page, "locations");
        assert!(locations.len() <= 52);
        let shown = locations.iter().skip(1).fold(0u64, |sum, row| sum.saturating_add(number(&row[5])));
        let all = report.by_location.iter().fold(0u64, |sum, location| sum.saturating_add(location.totals.records));
        assert_eq!(shown, all);
        assert_eq!(
            rows(&page, "findings").len(),
            if report.findings.is_empty() { 0 } else { report.findings.len() + 1 }
        );
        assert!(rows(&page, "trend").len() <= 31);
    }
}

#[test]
fn numbers_that_do_not_add_up_are_not_hidden() {
    let mut report = data::report();
    let warned = |report: &Report| page(report, &[]).contains("The numbers do not add up.");
    assert!(!warned(&report));
    report.totals.records += 1;
    assert!(warned(&report));
}

#[test]
fn every_colour_of_a_chart_has_one_for_the_dark() {
    let report = data::report();
    let page = Html::parse_document(&page(&report, &data::trend(&report)));
    let style = text(select(&page, "style")[0]);
    let mut colours = 0;
    for attribute in ["fill", "stroke"] {
        for element in select(&page, &format!("svg [{attribute}^='#']")) {
            let colour = element.attr(attribute).unwrap();
            assert!(style.contains(&format!("svg [{attribute}=\"{colour}\"]")), "{attribute} {colour}");
            colours += 1;
        }
    }
    assert!(colours > 50);
}

#[test]
fn texts_stand_out_from_their_ground() {
    let css = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/report.css")).unwrap();
    let blocks: Vec<_> = css.split(":root {").skip(1).take(2).map(|block| block.split('}').next().unwrap()).collect();
    for block in blocks {
        let luminance = |name: &str| {
            let hex = block.split(&format!("--{name}: #")).nth(1).unwrap();
            let part = |at: usize| {
                let part = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
        };
        for ground in ["paper", "shade"] {
            for ink in ["ink", "soft", "good", "warn", "bad", "blue", "orange"] {
                let (one, other) = (luminance(ground), luminance(ink));
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= 4.5, "{ink} on {ground}: {contrast:.2}");
            }
        }
    }
}

#[test]
fn a_page_is_bounded() {
    let mut rng = Rng::with_seed(4);
    let mut report = data::report();
    let usual = report.findings.iter().find(|finding| finding.fields.len() == 3).unwrap().clone();
    report.findings = vec![usual; Report::MAX_FINDINGS];
    let page = self::page(&report, &data::trend(&report));
    assert!(page.len() < 800_000, "{} bytes of usual findings", page.len());
    // Even if somebody does all that he can, and hands more over than he may.
    report = support::report(&mut rng);
    report.findings = (0..3000).map(|_| support::finding(&mut rng)).collect();
    report.remarks = vec!["<".repeat(100_000); 1000];
    let page = self::page(&report, &support::trend(&mut rng));
    assert!(page.len() < 8_000_000, "{} bytes of hostile findings", page.len());
    assert_eq!(rows(&Html::parse_document(&page), "findings").len(), Report::MAX_FINDINGS + 1);
}

// All forms

#[test]
fn personal_values_are_nowhere() {
    for (report, trend) in random() {
        let forms = [
            json(&report).unwrap(),
            support::csv(&report.findings),
            page(&report, &trend),
            mail(&report, "https://reports.example/1"),
        ];
        assert!(forms.iter().all(|form| !form.contains(PERSONAL)));
    }
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for (report, trend) in random().take(10) {
        let again = report.clone();
        assert_eq!(page(&report, &trend), page(&again, &trend));
        assert_eq!(json(&report).unwrap(), json(&again).unwrap());
        assert_eq!(support::csv(&report.findings), support::csv(&again.findings));
        assert_eq!(mail(&report, "x"), mail(&again, "x"));
    }
}

#[test]
fn a_headline_is_one_line_and_a_mail_has_the_numbers() {
    for (report, _) in random() {
        let headline = headline(&report);
        assert!(!headline.contains(is_unseen) && !headline.contains('\n') && headline.chars().count() < 2000);
        let mail = mail(&report, "https://reports.example/1\r\nBcc: x");
        assert!(mail.starts_with(&headline) && mail.ends_with("https://reports.example/1[U+000D][U+000A]Bcc: x\n"));
        assert!(!mail.contains(is_unseen));
        let compared = mail.lines().find_map(|line| line.strip_prefix("Compared")).unwrap();
        assert_eq!(number(compared.trim()), report.totals.records);
    }
}

#[test]
fn headlines_say_it_plainly() {
    let said = |verdict, dry_run, matched: u64, differing: u64, repaired: u64| {
        let mut report = data::report();
        (report.verdict, report.dry_run) = (verdict, dry_run);
        report.totals = Totals {
            records: matched + differing,
            outcomes: [(Outcome::Matched, matched), (Outcome::Mismatched, differing)].into(),
            drift: Default::default(),
            repaired,
        };
        headline(&report)
    };
    let cases = [
        (said(Verdict::Clean, false, 12_431, 0, 0), "Clean: 12,431 certificates match."),
        (said(Verdict::Clean, false, 1, 0, 0), "Clean: 1 certificate matches."),
        (said(Verdict::Clean, false, 0, 0, 0), "Clean: there were no certificates."),
        (
            said(Verdict::Repaired, false, 12_414, 17, 17),
            "Repaired: 17 of 12,431 certificates differed and were brought in line.",
        ),
        (
            said(Verdict::Repaired, true, 12_414, 17, 0),
            "To repair: 17 of 12,431 certificates differ. Nothing was written.",
        ),
        (
            said(Verdict::NeedsPerson, false, 12_414, 17, 14),
            "Needs a person: 3 of 12,431 certificates still differ; 14 were repaired.",
        ),
        (
            said(Verdict::NeedsPerson, true, 12_414, 17, 0),
            "Needs a person: 17 of 12,431 certificates differ. Nothing was written.",
        ),
        (
            said(Verdict::Failed, false, 0, 0, 0),
            "Failed: 1 certificate stands at the destination and not at the source. Nothing is deleted unless you say so.",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}
