//! A report in all its forms, for a person to look at: `sample OUT_DIR`.

mod data;

use certbridge_report::{Csv, headline, html, json, mail};
use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("where to? sample OUT_DIR")?);
    fs::create_dir_all(&folder)?;
    let report = data::report();
    fs::write(folder.join("report.json"), json(&report)?)?;
    let mut csv = Csv::new(fs::File::create(folder.join("findings.csv"))?)?;
    for finding in &report.findings {
        csv.write(finding)?;
    }
    csv.finish()?;
    fs::write(folder.join("report.html"), html(&report, &data::trend(&report), Some("accredible-snapshots-1"))?)?;
    let mail = mail(&report, "https://reports.example/2026-11-20");
    fs::write(folder.join("mail.txt"), format!("Subject: {}\n\n{mail}", headline(&report)))?;
    Ok(())
}
