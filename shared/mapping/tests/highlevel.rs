//! The rules of HighLevel's definition, and what they change of a plan.

use certbridge_mapping::{
    Definitions, DestinationDefinition, Kind, Plan,
    highlevel::{CONTACTS_PATH, INVOICES_PATH, Target},
};
use serde_json::json;
use std::sync::Arc;

const TEXT: &str = include_str!("../../../config/destinations/highlevel.toml");

fn parse(text: &str) -> Result<DestinationDefinition, Vec<String>> {
    DestinationDefinition::parse("destinations/highlevel.toml", text).map_err(|error| error.faults)
}

fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = TEXT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn a_request_is_about_what_its_path_says() {
    let definition = parse(TEXT).unwrap();
    let rules = definition.highlevel.as_ref().unwrap();
    let path = |kind| definition.requests[&kind].path.as_str();
    assert!(matches!(rules.target(Kind::Customer, path(Kind::Customer)), Some(Target::Contact)));
    assert!(matches!(rules.target(Kind::Invoice, path(Kind::Invoice)), Some(Target::Invoice)));
    for (kind, object) in [(Kind::Certificate, "certificates"), (Kind::Location, "sites"), (Kind::Invoice, "invoices")]
    {
        let path = format!("/objects/custom_objects.{object}/records");
        assert!(matches!(rules.target(kind, &path), Some(Target::Record(_))), "{kind}");
    }
    assert!(rules.target(Kind::Certificate, CONTACTS_PATH).is_none());
    assert!(rules.target(Kind::Customer, INVOICES_PATH).is_none());
    assert!(!rules.invoice.live_mode && rules.invoice.send.is_none() && rules.invoice.business.is_empty());
}

#[test]
fn every_fault_of_the_rules_is_listed_at_once() {
    let text = changed(&[
        ("authorize_url = \"https://", "authorize_url = \"http://"),
        ("contacts = \"2021-07-28\"", "contacts = \"\""),
        ("object = \"custom_objects.sites\"", "object = \"sites\""),
        ("key = \"certificate_recipient\"", "key = \"certificate recipient\""),
        ("path = \"/contacts/upsert\"", "path = \"/contacts\""),
        ("payment_mode = \"other\"", "payment_mode = \"gold\"\nsend = { user_id = \"u\", action = \"shout\" }"),
        ("recipient_email = {", "recipients_email = {"),
        ("total = { from = \"$.total\", type = \"decimal\", required = true }", "total = { from = \"$.total\" }"),
    ]);
    assert_eq!(
        parse(&text).unwrap_err(),
        [
            "highlevel.versions.contacts: \"\" is no version",
            "highlevel.authorize_url: an https address without a query",
            "highlevel.records.certificate: association.key: a plain name",
            "highlevel.records.location: object: custom_objects.{name}",
            "highlevel.certificate: it has no field recipient_email",
            "highlevel.location: its path is neither /contacts/upsert or /invoices/ of its kind, nor that of its object's records",
            "highlevel.customer: its path is neither /contacts/upsert or /invoices/ of its kind, nor that of its object's records",
            "highlevel.invoice: total must be required, or have a default",
            "highlevel.invoice.payment_mode: one of cash, card, cheque, bank_transfer, other",
            "highlevel.invoice.send.action: one of send_manually, email, sms, sms_and_email",
        ]
    );
}

#[test]
fn invoices_need_an_object_for_those_that_cannot_be_real() {
    let without = changed(&[("[highlevel.records.invoice]", "[highlevel.records.customer]")]);
    assert_eq!(
        parse(&without).unwrap_err(),
        [
            "highlevel.records.customer: a customer is a contact",
            "highlevel.invoice: no object is declared for those that cannot be real ones",
        ]
    );
}

#[test]
fn a_plan_names_what_is_told_and_not_how() {
    let source = Definitions::built_in().source("accredible").unwrap().clone();
    let version = |text: &str| Plan::new(source.clone(), Arc::new(parse(text).unwrap())).version().clone();
    let built_in = version(TEXT);
    for (from, to) in [
        ("contacts = \"2021-07-28\"", "contacts = \"v3\""),
        ("[\"Site\", \"Sites\"]", "[\"Place\", \"Places\"]"),
        ("\"oauth.readonly\", ", ""),
        ("requests = 50", "requests = 5"),
        ("size = 100", "size = 50"),
    ] {
        assert_eq!(version(&changed(&[(from, to)])), built_in, "{from}");
    }
    for (from, to) in [
        ("live_mode = false", "live_mode = true"),
        ("\"certificate_recipient\"", "\"of_whom\""),
        ("url = { from = \"$.url\" }", ""),
    ] {
        assert_ne!(version(&changed(&[(from, to)])), built_in, "{from}");
    }
}

#[test]
fn an_item_of_a_listing_shows_its_properties() {
    let definition = parse(TEXT).unwrap();
    let item = json!({ "id": "r1", "properties": { "certificate_id": "1", "title": "Rust", "colour": "red" } });
    let shown = definition.shown(Kind::Certificate, &item).unwrap();
    assert_eq!((shown.id.as_str(), &shown.fields["title"], &shown.fields["url"]), ("1", &json!("Rust"), &json!(null)));
    assert!(!shown.fields.contains_key("colour"));
    assert!(definition.shown(Kind::Certificate, &json!({ "id": "r1", "properties": "{}" })).is_none());
    assert!(definition.shown(Kind::Certificate, &json!({ "certificate_id": "1" })).is_none());
}
