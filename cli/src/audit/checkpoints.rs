//! Checkpoints in a folder, as they stand in the archive: `00000001.json`, .., and `heads/{root}/00000.jsonl`, ...

use crate::CliError;
use certbridge_archive::Archive;
use certbridge_batch::checkpoint::{checkpoint, heads, latest};
use certbridge_sync::checkpoint::{Checkpoint, Stored};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the objects' paths begin with, in the archive.
const BELOW: &str = "checkpoints/";

/// Copies all checkpoints, with the heads that are kept beside them, and says how many there are.
pub(super) async fn copy(archive: &Archive, folder: &Path) -> Result<u64, CliError> {
    let newest = latest(archive).await?.map_or(0, |latest| latest.unproven().number);
    fs::create_dir_all(folder).map_err(CliError::file(folder))?;
    for number in 1..=newest {
        let Some(stored) = checkpoint(archive, number).await? else { continue };
        write(&folder.join(format!("{number:08}.json")), &serde_json::to_vec(&stored).unwrap_or_default())?;
        for path in heads(archive, &stored.unproven().root).await? {
            let to = folder.join(path.strip_prefix(BELOW).unwrap_or(&path));
            // The root says which heads they are: what was copied for an earlier checkpoint is the same.
            if !to.exists() {
                write(&to, &archive.get(&path).await?.unwrap_or_default())?;
            }
        }
    }
    Ok(newest)
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(CliError::file(parent))?;
    }
    fs::write(path, content).map_err(CliError::file(path))
}

/// The checkpoints in a folder, by their files' names; or the file that holds none.
pub(super) fn read(folder: &Path) -> Result<Result<Vec<Stored>, PathBuf>, CliError> {
    let mut history = Vec::new();
    for path in files(folder, "json")? {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        // `latest.json` is a copy.
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        match serde_json::from_slice(&fs::read(&path).map_err(CliError::file(&path))?) {
            Ok(stored) => history.push(stored),
            Err(_) => return Ok(Err(path)),
        }
    }
    Ok(Ok(history))
}

/// The files that hold the heads of a checkpoint, in their order; none if they are not here.
pub(super) fn heads_in(folder: &Path, checkpoint: &Checkpoint) -> Result<Vec<PathBuf>, CliError> {
    let heads = folder.join("heads").join(checkpoint.root.to_string());
    if heads.is_dir() { files(&heads, "jsonl") } else { Ok(Vec::new()) }
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, CliError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(CliError::file(folder))? {
        let path = entry.map_err(CliError::file(folder))?.path();
        if path.extension().is_some_and(|extension| extension == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
