//! `GET /dashboard`, `/openapi.json` and `/health`: what anyone may see, since none of it holds any data.

use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_mapping::digest::sha256_hex;
use certbridge_platform::Answer;
use serde_json::json;
use std::sync::LazyLock;

/// The contract, `docs/openapi.yaml` as JSON.
const CONTRACT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
const STYLE: &str = include_str!("../page/dashboard.css");
const SCRIPT: &str = include_str!("../page/dashboard.js");

/// The page, in one piece.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("../page/dashboard.html");
    let page = page.replacen("<!-- style -->", &format!("<style>{STYLE}</style>"), 1);
    page.replacen("<!-- script -->", &format!("<script>{SCRIPT}</script>"), 1)
});

/// What the page may do: run its own script, look as its own style says, and ask where it comes from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

fn hash(content: &str) -> String {
    let digest = hex::decode(sha256_hex(content.as_bytes())).unwrap_or_default();
    format!("sha256-{}", BASE64_STANDARD.encode(digest))
}

pub(crate) fn dashboard() -> Answer {
    Answer::new(200, "text/html; charset=utf-8", PAGE.as_str())
        .header("content-security-policy", POLICY.as_str())
        .header("permissions-policy", "camera=(), geolocation=(), microphone=()")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
}

pub(crate) fn contract() -> Answer {
    Answer::new(200, "application/json", CONTRACT)
}

pub(crate) fn health() -> Answer {
    Answer::json(200, &json!({"status": "ok"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_its_policy_names_what_is_in_it() {
        assert!(!PAGE.contains("<!-- style -->") && !PAGE.contains("<!-- script -->"));
        for (piece, element) in [(SCRIPT, "script"), (STYLE, "style")] {
            assert!(!piece.contains(&format!("</{element}")), "it would end too early");
            let (_, rest) = PAGE.split_once(&format!("<{element}>")).unwrap();
            let (inline, _) = rest.split_once(&format!("</{element}>")).unwrap();
            assert!(POLICY.contains(&hash(inline)), "{element}");
        }
        assert!(!POLICY.contains("unsafe"), "{}", POLICY.as_str());
    }
}
