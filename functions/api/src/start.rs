//! `POST /batch_sync`.

use crate::{
    handler::{Api, Refused, Tables},
    query::DEFAULT_SOURCE,
    read::Shown,
    wish::{Wish, document},
};
use certbridge_mapping::{Kind, Problems, SourceDefinition, problem::Problem, problem::Shape};
use certbridge_platform::{
    Answer,
    http::{Request, query_parameter},
};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchId, BatchRequest, BatchRow, BatchStatus, Executions, Registered},
    ports::{RetryQueue, Runtime},
};

/// The largest body that is taken, in bytes: Lambda takes 6 MB with all that the gateway says of a request.
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// The records are stored first, then the row that speaks of them, and only then does somebody look for either: what
    /// is cut off in between is taken up by the same request sent again.
    pub(crate) async fn start(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let body: &[u8] = request.body().as_ref();
        if body.len() > MAX_BODY_BYTES {
            return Err(Refused::BodyTooLarge { bytes: body.len(), limit: MAX_BODY_BYTES });
        }
        let source = query_parameter(request, "source").unwrap_or(DEFAULT_SOURCE);
        let definitions = self.definitions.current();
        let source = definitions.source(source).ok_or(Refused::UnknownSource)?;
        let kind = match query_parameter(request, "kind").map(str::parse::<Kind>) {
            None => Kind::default(),
            Some(Ok(kind)) if source.records.contains_key(&kind) => kind,
            Some(_) => return Err(Problems::one(Problem::new("kind", Shape::Missing, kinds(source))).into()),
        };
        let source = &source.name;
        let document = document(body)?;
        let wish = Wish::read(&document)?;
        let asked = self.row(&wish, source, kind, owner)?;
        if let Some(records) = wish.records {
            // By the digest of the request, so that another one of the same id overwrites nothing.
            self.archive.put_json(&format!("requests/{}.json", asked.request_digest), &records).await?;
        }
        let (row, outcome) = match self.store.register(&asked).await? {
            Registered::New => (asked, "new"),
            Registered::Exists(known) if known.request_digest == asked.request_digest => (*known, "known"),
            Registered::Exists(known) => return Err(Refused::OtherBody(known.id)),
        };
        if row.status == BatchStatus::Queued && row.execution.is_none() {
            let started = self.executions.start(&row.id).await;
            started.map_err(|error| Refused::NotStarted { id: row.id.clone(), error })?;
        }
        let kind = kind.as_str();
        let (mode, records) = (row.request.mode.as_str(), wish.records.map_or(0, <[_]>::len));
        tracing::info!(batch_id = %row.id, owner, source, kind, mode, records, outcome, "a batch was asked for");
        self.metrics.count("BatchRequested", &[("Mode", mode), ("Outcome", outcome)]);
        Ok(Answer::json(202, &Shown::from(&row)).header("location", format!("/batches/{}", row.id)))
    }

    fn row(&self, wish: &Wish<'_>, source: &str, kind: Kind, owner: &str) -> Result<BatchRow, Refused> {
        let now = self.runtime.now();
        let digest =
            wish.digest(source, kind).map_err(|_| Refused::Unusable("a request cannot be written".to_owned()))?;
        Ok(BatchRow {
            id: wish.id.clone().unwrap_or_else(|| BatchId::random(now, self.runtime.random())),
            request: BatchRequest {
                mode: wish.mode,
                source: source.to_owned(),
                kind,
                dry_run: wish.dry_run,
                force: wish.force,
                actor: Actor::Caller { owner: owner.to_owned() },
            },
            request_digest: digest,
            requested_at: now,
            status: BatchStatus::Queued,
            execution: None,
            finished_at: None,
            summary: None,
            error: None,
        })
    }
}

/// The kinds of records that a source is declared to have, in words.
fn kinds(source: &SourceDefinition) -> String {
    let kinds: Vec<_> = source.records.keys().map(|kind| kind.as_str()).collect();
    format!("a kind that {} has: {}", source.name, kinds.join(", "))
}
