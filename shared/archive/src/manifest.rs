use crate::{Archive, ArchiveError};
use bytes::Bytes;
use certbridge_sync::reconcile::partition;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, ops::Range};

/// How much is held in memory before it is written, in bytes.
const BUFFER: usize = 8 * 1024 * 1024;
/// How many objects are read or written at the same time.
const CONCURRENCY: usize = 16;

/// The rows of one listing, cut into partitions: lines of JSON in
/// `{folder}/{segment}/{partition}/{part}.jsonl`.
///
/// A segment is what one call of a task wrote, under a name that no other call has. A call that was cut off leaves a
/// segment that nobody names, so what it wrote is never read.
#[derive(Debug, Clone)]
pub struct Manifest<'a> {
    archive: &'a Archive,
    folder: String,
}

/// The rows that one call wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Segment(String);

impl<'a> Manifest<'a> {
    /// The manifest in a folder of the archive.
    pub fn new(archive: &'a Archive, folder: impl Into<String>) -> Self {
        Self { archive, folder: folder.into() }
    }

    /// Begins a segment, whose name must be new.
    pub fn write(&self, segment: impl Into<String>, partitions: u16) -> ManifestWriter<'a> {
        let segment = Segment(segment.into());
        let folder = format!("{}/{}", self.folder, segment.0);
        ManifestWriter {
            archive: self.archive,
            folder,
            segment,
            partitions,
            lines: Vec::new(),
            places: BTreeMap::new(),
            part: 0,
        }
    }

    /// All rows of a partition.
    ///
    /// # Errors
    /// The storage fails, or a row is not of this type.
    pub async fn read<T: DeserializeOwned>(
        &self,
        segments: &[Segment],
        partition: u16,
    ) -> Result<Vec<T>, ArchiveError> {
        let mut paths = Vec::new();
        for segment in segments {
            paths.extend(self.archive.list(&format!("{}/{}/{partition:03}", self.folder, segment.0)).await?);
        }
        let read = async |path: String| self.archive.get_lines::<T>(&path).await;
        let parts = stream::iter(paths.into_iter().map(read)).buffered(CONCURRENCY);
        parts
            .try_fold(Vec::new(), async |mut rows, part| {
                rows.extend(part);
                Ok(rows)
            })
            .await
    }
}

/// Writes rows, holding a bounded number of them.
#[derive(Debug)]
pub struct ManifestWriter<'a> {
    archive: &'a Archive,
    folder: String,
    segment: Segment,
    partitions: u16,
    /// The lines of all partitions, in the order in which they came. One buffer for each partition would hold up to
    /// twice as much, and the more the more partitions there are.
    lines: Vec<u8>,
    /// Where the lines of each partition stand among them.
    places: BTreeMap<u16, Vec<Range<usize>>>,
    part: u32,
}

impl ManifestWriter<'_> {
    /// Adds the row of a record.
    pub async fn add(&mut self, id: &str, row: &impl Serialize) -> Result<(), ArchiveError> {
        let start = self.lines.len();
        if serde_json::to_writer(&mut self.lines, row).is_err() {
            self.lines.truncate(start);
            return Err(ArchiveError::Unwritable { path: self.folder.clone() });
        }
        self.lines.push(b'\n');
        let place = start..self.lines.len();
        self.places.entry(partition(id, self.partitions)).or_default().push(place);
        if self.lines.len() >= BUFFER { self.flush().await } else { Ok(()) }
    }

    /// Ends the segment. Only now may it be named.
    pub async fn finish(mut self) -> Result<Segment, ArchiveError> {
        self.flush().await?;
        Ok(self.segment)
    }

    async fn flush(&mut self) -> Result<(), ArchiveError> {
        let (archive, lines) = (self.archive, &self.lines);
        let write = |(partition, places): (u16, Vec<Range<usize>>)| {
            let path = format!("{}/{partition:03}/{:05}.jsonl", self.folder, self.part);
            async move {
                // Not before it is its turn, so that few of these copies are there at once.
                let content = places.into_iter().map(|place| &lines[place]).collect::<Vec<_>>().concat();
                archive.put(&path, Bytes::from(content)).await
            }
        };
        let places = std::mem::take(&mut self.places);
        stream::iter(places.into_iter().map(write)).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        self.lines.clear();
        self.part += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_come_back_by_partition_and_only_from_named_segments() {
        let archive = Archive::memory();
        let manifest = Manifest::new(&archive, "batches/b/source");
        let mut segments = Vec::new();
        for call in 0..3 {
            let mut writer = manifest.write(format!("call-{call}"), 8);
            for number in 0..100 {
                let id = format!("{call}-{number}");
                writer.add(&id, &id).await.unwrap();
                if number == 50 {
                    writer.flush().await.unwrap();
                }
            }
            segments.push(writer.finish().await.unwrap());
        }
        let mut cut_off = manifest.write("call-x", 8);
        cut_off.add("lost", &"lost").await.unwrap();
        cut_off.flush().await.unwrap();

        let mut found = 0;
        for place in 0..8 {
            let rows: Vec<String> = manifest.read(&segments, place).await.unwrap();
            assert!(rows.iter().all(|id| partition(id, 8) == place));
            found += rows.len();
        }
        assert_eq!(found, 300);
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_says_where() {
        let archive = Archive::memory();
        let manifest = Manifest::new(&archive, "m");
        let mut writer = manifest.write("s", 1);
        writer.add("a", &1).await.unwrap();
        writer.add("b", &"personal").await.unwrap();
        let segment = writer.finish().await.unwrap();
        let error = manifest.read::<u8>(&[segment], 0).await.unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("personal"), "{error}");
    }
}
