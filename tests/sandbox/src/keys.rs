//! What senders sign with.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{fmt::Write, io};

/// An RSA key of a sender's.
pub(crate) struct RsaKey(KeyPair);

impl RsaKey {
    /// A new one.
    pub(crate) fn generate() -> io::Result<Self> {
        KeyPair::generate(KeySize::Rsa2048).map(Self).map_err(|_| io::Error::other("no RSA key could be made"))
    }

    /// One that was kept as [`RsaKey::kept`] writes it.
    pub(crate) fn read(text: &str) -> io::Result<Self> {
        let der = BASE64_STANDARD.decode(text).map_err(io::Error::other)?;
        KeyPair::from_pkcs8(&der).map(Self).map_err(io::Error::other)
    }

    /// The private key, to be kept.
    pub(crate) fn kept(&self) -> io::Result<String> {
        let der =
            AsDer::<Pkcs8V1Der<'_>>::as_der(&self.0).map_err(|_| io::Error::other("the key cannot be written"))?;
        Ok(BASE64_STANDARD.encode(der.as_ref()))
    }

    /// The public key as PEM.
    pub(crate) fn public_pem(&self) -> io::Result<String> {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(self.0.public_key());
        let text = BASE64_STANDARD.encode(der.map_err(|_| io::Error::other("the key cannot be written"))?.as_ref());
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"))
    }

    /// The signature of a body, RSASSA-PKCS1-v1_5 with SHA-256, in base64.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        // It fails only where the room is not the modulus's, which it is.
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature);
        signed.map(|()| BASE64_STANDARD.encode(&signature)).unwrap_or_default()
    }
}

/// The HMAC-SHA256 of these parts, in lower-case hex.
pub(crate) fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
