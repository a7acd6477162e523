//! What the demo sends: every source, every kind, and what must become of each delivery.

use super::{Demo, Scene};
use crate::CliError;
use certbridge_mapping::Kind;
use certbridge_sandbox::{
    Credential, Fault, accredit,
    acculynx::{contact_event, event as acculynx_event, invoice_event, job_event},
    certifylize, seventeenhats, standard_webhooks,
};
use serde_json::{Value, json};

impl Demo<'_> {
    /// The whole play.
    pub(super) async fn play(&mut self) -> Result<(), CliError> {
        self.everyday().await?;
        self.out_of_order().await?;
        self.faults().await?;
        self.unusual().await?;
        self.accredit().await?;
        self.certifylize().await?;
        self.seventeenhats().await?;
        self.acculynx().await?;
        self.standard_webhooks().await
    }

    /// An event as Accredible's forwarder would send it.
    fn event(&self, event_type: &str, id: &str, second: u32) -> Value {
        json!({"event_type": event_type, "certificate_id": id, "timestamp": self.ids.at(second), "source": "accredible"})
    }

    /// A certificate at Accredible, and its id.
    fn certificate(&self, name: &str, location: &str) -> Result<String, CliError> {
        let id = self.ids.id(name);
        let certificate = Credential::new(&id).at_location(location).named("Food hygiene, level 1");
        self.sandbox()?.accredible.put(&id, &certificate);
        Ok(id)
    }

    async fn everyday(&mut self) -> Result<(), CliError> {
        let id = self.certificate("ann", "loc_london")?;
        let scene = |title, body: &Value, answer, ends| Scene::new("accredible", title, body, answer, ends);
        let body = self.event("certificate_created", &id, 0);
        self.play_one(scene("a new certificate", &body, 202, "synced")).await?;
        self.play_one(scene("the same delivery again", &body, 200, "duplicate")).await?;
        self.play_one(Scene { forged: true, ..scene("a forged delivery", &body, 401, "refused") }).await?;
        let body = self.event("certificate_verified", &id, 1);
        self.play_one(scene("somebody verified it", &body, 202, "audited")).await?;
        let body = self.event("certificate_viewed", &id, 2);
        self.play_one(scene("a type that is not synced", &body, 200, "ignored")).await
    }

    /// Two changes, told in the wrong order.
    async fn out_of_order(&mut self) -> Result<(), CliError> {
        let id = self.certificate("ben", "loc_lyon")?;
        self.sandbox()?.accredible.update(&id, &json!({"name": "Food hygiene, level 2"}));
        let later = self.event("certificate_updated", &id, 9);
        let earlier = self.event("certificate_created", &id, 3);
        self.play_one(Scene::new("accredible", "a change, told before ...", &later, 202, "synced")).await?;
        self.play_one(Scene::new("accredible", "... the certificate itself", &earlier, 202, "unchanged")).await?;
        self.holds(Kind::Certificate, &id, "title", "Food hygiene, level 2")
    }

    /// A destination that fails, loses its answer, and wants less of us.
    async fn faults(&mut self) -> Result<(), CliError> {
        let id = self.certificate("cleo", "loc_london")?;
        let (server, path) = self.pushed_to(&id)?;
        let fault = |fault: Fault, times: u32| fault.times(times).on("POST", &path);
        server.add_fault(fault(Fault::Status { status: 429, retry_after: Some("1".into()) }, 1));
        server.add_fault(fault(Fault::status(503), 4));
        server.add_fault(fault(Fault::AnswerLost, 1));
        let body = self.event("certificate_created", &id, 4);
        self.play_one(Scene::new("accredible", "the destination fails six times", &body, 202, "synced")).await?;
        self.holds(Kind::Certificate, &id, "certificate_id", &id)
    }

    async fn unusual(&mut self) -> Result<(), CliError> {
        let scene = |title, body: &Value, answer, ends| Scene::new("accredible", title, body, answer, ends);
        let id = self.certificate("dora", "loc_atlantis")?;
        let body = self.event("certificate_created", &id, 5);
        self.play_one(scene("a location that nobody knows", &body, 202, "quarantined")).await?;
        let garbage = Scene {
            body: self.ids.id("this is not JSON").into_bytes(),
            ..scene("a proven delivery that is not JSON", &Value::Null, 202, "quarantined")
        };
        self.play_one(garbage).await?;
        let id = self.certificate("ed", "loc_lyon")?;
        let body = self.event("certificate_created", &id, 6);
        self.play_one(scene("a certificate, and then ...", &body, 202, "synced")).await?;
        self.sandbox()?.accredible.delete(&id);
        let body = self.event("certificate_deleted", &id, 7);
        self.play_one(scene("... its deletion", &body, 202, "deleted")).await?;
        self.holds(Kind::Certificate, &id, "status", "deleted")
    }

    /// Signed by RSA, and tried again under the same job.
    async fn accredit(&mut self) -> Result<(), CliError> {
        let ids = self.ids;
        let id = ids.id("fay");
        let scene = |title, body: &Value, job: &str, attempt: &str, answer, ends| {
            let headers = [("X-JobId", job), ("X-JobAttempt", attempt)];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            Scene { headers, ..Scene::new("accredit", title, body, answer, ends) }
        };
        let time = |second| ids.at(second).to_string();
        let created = accredit::certificate("Certificate.Created", &time(0), &id, "loc_london");
        let mut revoked = accredit::certificate("Certificate.Revoked", &time(5), &id, "loc_london");
        revoked["Status"] = "Revoked".into();
        let export = accredit::badge_export(&time(6), &id);
        let job = ids.id("job");
        self.play_one(scene("a new certificate", &created, &job, "0", 202, "synced")).await?;
        self.play_one(scene("its job, tried again", &created, &job, "1", 200, "duplicate")).await?;
        self.play_one(scene("it is revoked", &revoked, &ids.id("job-2"), "0", 202, "synced")).await?;
        self.play_one(scene("an export of badges", &export, &ids.id("job-3"), "0", 200, "ignored")).await?;
        self.holds(Kind::Certificate, &id, "status", "revoked")
    }

    /// Counted revisions in the wrong order, and an event that only names its credential.
    async fn certifylize(&mut self) -> Result<(), CliError> {
        let ids = self.ids;
        let (id, hinted) = (ids.id("gus"), ids.id("hal"));
        let data = |id: &str, revision: u32| {
            let mut data = certifylize::credential(id, "loc_lyon");
            data["revision"] = revision.into();
            data["title"] = format!("First aid, revision {revision}").into();
            data
        };
        let event = |name: &str, kind: &str, second, data: &Value| {
            certifylize::event(&ids.id(name), kind, &ids.at(second).to_string(), Some(data))
        };
        let scene = |title, body: &Value, answer, ends| Scene::new("certifylize", title, body, answer, ends);
        let third = event("evt-3", "edu.credential.updated", 3, &data(&id, 3));
        let second = event("evt-2", "edu.credential.updated", 2, &data(&id, 2));
        self.sandbox()?.certifylize.put(&hinted, &data(&hinted, 1));
        let hint = event("evt-4", "edu.credential.issued", 4, &json!({ "id": hinted }));
        let key = certifylize::event(&ids.id("evt-5"), "edu.api_key.created", &ids.at(5).to_string(), None);
        self.play_one(scene("a credential's third revision ...", &third, 202, "synced")).await?;
        self.play_one(scene("... before its second", &second, 202, "superseded")).await?;
        self.play_one(scene("an event without its data", &hint, 202, "synced")).await?;
        self.play_one(scene("a type that is not synced", &key, 200, "ignored")).await?;
        self.holds(Kind::Certificate, &id, "title", "First aid, revision 3")?;
        self.holds(Kind::Certificate, &hinted, "title", "First aid, revision 1")
    }

    /// What a Zap sends, which has a token and nothing else.
    async fn seventeenhats(&mut self) -> Result<(), CliError> {
        let ids = self.ids;
        let (customer, location, invoice) = (ids.id("customer-1"), ids.id("location-1"), ids.id("invoice-1"));
        let time = |second| ids.at(second).to_string();
        let scene = |title, body: &Value| Scene::new("17hats", title, body, 202, "synced");
        let body = seventeenhats::location(&time(0), &location, "Studio", "1 High Street", "United Kingdom");
        self.play_one(scene("a location", &body)).await?;
        let body = seventeenhats::customer(&time(1), &customer, "ida@example.com", "Ida", "Example");
        self.play_one(scene("a customer", &body)).await?;
        let body = seventeenhats::invoice(&time(2), &invoice, &customer, "1250.5");
        self.play_one(scene("an invoice", &body)).await?;
        self.holds(Kind::Location, &location, "country", "GB")?;
        self.holds(Kind::Customer, &customer, "first_name", "Ida")?;
        self.holds(Kind::Invoice, &invoice, "total", "1250.50")
    }

    /// A token in the path, and everything else is fetched.
    async fn acculynx(&mut self) -> Result<(), CliError> {
        let ids = self.ids;
        let (contact, job, invoice) = (ids.uuid(1), ids.uuid(2), ids.uuid(3));
        let sandbox = self.sandbox()?;
        sandbox.acculynx.put_contact(&contact, &json!({ "firstName": "Joe", "lastName": "Example" }));
        sandbox.acculynx.put_job(&job, &json!({ "jobName": "Roof of the town hall" }));
        sandbox.acculynx.put_invoice(&invoice, &json!({ "jobId": job, "totalPrice": 980.1 }));
        let row = sandbox.acculynx.row("jobs", &job).unwrap_or_default();
        let event = |topic: &str, number: u8, inner: &Value| {
            acculynx_event(topic, &ids.uuid(number), "demo", ids.at(number.into()), inner)
        };
        let scene = |title, body: &Value, answer, ends| Scene::new("acculynx", title, body, answer, ends);
        let body = event("contact_added", 11, &contact_event(&contact, ids.at(0)));
        self.play_one(scene("a contact", &body, 202, "synced")).await?;
        let body = event("job_created", 12, &job_event(&row));
        self.play_one(scene("a job, which is a location", &body, 202, "synced")).await?;
        let body = event("job.invoice_updated", 13, &invoice_event(&invoice, &job));
        self.play_one(scene("an invoice", &body, 202, "synced")).await?;
        let body = event("job.something_new", 14, &job_event(&row));
        self.play_one(scene("a topic that nobody knows", &body, 200, "ignored")).await?;
        self.holds(Kind::Customer, &contact, "first_name", "Joe")?;
        self.holds(Kind::Location, &job, "name", "Roof of the town hall")?;
        self.holds(Kind::Invoice, &invoice, "total", "980.10")
    }

    /// Any other sender: all kinds.
    async fn standard_webhooks(&mut self) -> Result<(), CliError> {
        let ids = self.ids;
        let [certificate, location, customer, invoice] =
            ["kim", "location-2", "customer-2", "invoice-2"].map(|name| ids.id(name));
        let time = |second| ids.at(second).to_string();
        let bodies = [
            ("a certificate", standard_webhooks::certificate(&time(0), &certificate, "loc_lyon")),
            ("a location", standard_webhooks::location(&time(1), &location)),
            ("a customer", standard_webhooks::customer(&time(2), &customer)),
            ("an invoice", standard_webhooks::invoice(&time(3), &invoice, &customer)),
        ];
        for (title, body) in &bodies {
            self.play_one(Scene::new("standard-webhooks", title, body, 202, "synced")).await?;
        }
        self.holds(Kind::Certificate, &certificate, "certificate_id", &certificate)?;
        self.holds(Kind::Location, &location, "name", "London")?;
        self.holds(Kind::Customer, &customer, "last_name", "Person")?;
        self.holds(Kind::Invoice, &invoice, "total", "120.50")
    }
}
