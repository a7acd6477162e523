//! What `certbridge connect` makes.

use super::{LONDON, PARIS, World, rules, with_key};
use crate::support::PATIENT;
use certbridge_mapping::Kind;
use certbridge_remote::highlevel::Part;
use certbridge_sync::memory::MemoryStore;

#[tokio::test]
async fn what_is_missing_is_made_once() {
    let world = World::bare(with_key(), MemoryStore::new()).await;
    let would = world.api.prepare(LONDON, true, PATIENT).await.unwrap();
    assert!(world.server.schemas().is_empty() && world.server.fields().is_empty() && would.there.is_empty());
    let made = world.api.prepare(LONDON, false, PATIENT).await.unwrap();
    assert_eq!(made.there, [], "what the object is made with counts as made");
    assert_eq!(made.made.len(), would.made.len());
    let again = world.api.prepare(LONDON, false, PATIENT).await.unwrap();
    assert_eq!((again.made, again.there.len()), (Vec::new(), made.made.len()));
    assert_eq!(world.server.schemas().len(), 3);
    let fields = world.server.fields();
    assert_eq!(fields.len(), 11 + 8 + 12);
    let type_of = |key: &str| fields.iter().find(|field| field["fieldKey"] == key).unwrap()["dataType"].clone();
    assert_eq!(type_of("custom_objects.certificates.issue_date"), "DATE");
    assert_eq!(type_of("custom_objects.certificates.certificate_id"), "TEXT");
    let associations = world.server.associations();
    assert_eq!(associations.len(), 1);
    assert_eq!(associations[0]["firstObjectKey"], rules().records[&Kind::Certificate].object);
    assert_eq!(associations[0]["secondObjectKey"], "contact");
    // Each location has its own.
    world.api.prepare(PARIS, false, PATIENT).await.unwrap();
    assert_eq!((world.server.schemas().len(), world.server.associations().len()), (6, 2));
}

#[tokio::test]
async fn what_was_removed_is_made_again() {
    let world = World::new().await;
    let fields = world.server.fields();
    let title = fields
        .iter()
        .find(|field| field["fieldKey"] == "custom_objects.certificates.title" && field["locationId"] == LONDON);
    world.server.remove("fields", title.unwrap()["id"].as_str().unwrap());
    let made = world.api.prepare(LONDON, false, PATIENT).await.unwrap();
    let part = Part::Field { object: "custom_objects.certificates".into(), field: "title".into() };
    assert_eq!(made.made, std::slice::from_ref(&part));
    assert_eq!(part.to_string(), "field custom_objects.certificates.title");
}
