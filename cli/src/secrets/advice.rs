//! What a person has to do elsewhere, provider by provider. docs/rotation.md says it at length.

use certbridge_mapping::{SourceDefinition, verify::Scheme};

/// Who makes the new key, if not we.
pub(super) fn given_by(source: &SourceDefinition) -> Option<String> {
    let name = &source.name;
    match &source.verification {
        Scheme::RsaSha256(_) if name == "accredit" => Some(
            "Accredit makes it with each subscription. `certbridge subscriptions accredit create --url ..` subscribes \
             anew, and puts its Signature Key beside the one that is there; or give that key by --key-file"
                .to_owned(),
        ),
        Scheme::RsaSha256(_) | Scheme::Ed25519(_) => Some(format!(
            "{name} signs with a private key that only the sender has. Let the sender make the new pair, and give its \
             public key by --key-file"
        )),
        Scheme::HmacSha256(_) | Scheme::StandardWebhooks(_) | Scheme::Token(_) => None,
    }
}

/// Where the sender is told the new key.
pub(super) fn set_where(source: &SourceDefinition) -> String {
    let name = &source.name;
    match (name.as_str(), &source.verification) {
        ("accredible", Scheme::HmacSha256(scheme)) => {
            format!("In whatever forwards Accredible's events: the key of its HMAC in {}.", scheme.header)
        }
        ("accredit", _) => {
            "Nowhere: deliveries of the new subscription come under its Signature Key. End the old subscription: \
             `certbridge subscriptions accredit delete ID`."
                .to_owned()
        }
        ("certifylize", _) => "In Certifylize, at the webhook's own settings: its signing secret.".to_owned(),
        ("17hats", Scheme::Token(token)) => format!(
            "In Zapier, in each Zap that sends to us: the header {} of its POST. Publish the Zap.",
            token.header.as_deref().unwrap_or_default()
        ),
        ("acculynx", _) => "In a new subscription, since an address never changes: `certbridge subscriptions acculynx create \
             --url ..` takes the newest token. Then end the old one: `certbridge subscriptions acculynx delete ID`."
            .to_owned(),
        (_, Scheme::HmacSha256(scheme)) => format!("At the sender: the key of its HMAC in {}.", scheme.header),
        (_, Scheme::StandardWebhooks(_)) => {
            "At the sender: the endpoint's secret, `whsec_..`. A sender that knows rotation signs with both for a while."
                .to_owned()
        }
        (_, Scheme::Token(token)) => match &token.header {
            Some(header) => format!("At the sender: its header {header}."),
            None => format!("At the sender: the end of its address, /webhooks/{name}/TOKEN."),
        },
        (_, Scheme::RsaSha256(_) | Scheme::Ed25519(_)) => {
            "At the sender: it signs with the new private key from now on.".to_owned()
        }
    }
}

/// How a destination's key is rotated.
pub(super) fn destination(name: &str) -> String {
    let page = match name {
        "highlevel" => {
            "1. In HighLevel, Settings > Private Integrations: rotate the token so that the old one stays for a while \
             (\"rotate and expire later\").\n   An app's client secret: make a second one in the marketplace, and give \
             `--member client_secret`."
        }
        _ => {
            "1. At the destination's own admin page: make a second key, with the scope saas/location.read. Keep the first one."
        }
    };
    format!(
        "{page}\n2. certbridge secrets rotate destinations/{name} switch --key-file FILE\n   The first refusal, or five \
         minutes, and every function uses it.\n3. certbridge doctor, and after five minutes revoke the first key where \
         it was made."
    )
}

/// How the audit's key is rotated.
pub(super) const AUDIT: &str = "1. certbridge secrets rotate audit switch\n   A new key signs the checkpoints from the next \
     batch on. The public half of the old one stays in the secret, in `retired_public_keys`:\n   what it has signed is proven by \
     that for ever, so give both to whoever verifies.\n2. Note the new public key where nobody of this deployment can change it.\n\
     digest_key is never rotated: the digests of before could be compared with none of after.";
