//! Where a provider is: its base address, checked once, and the addresses below it.

use reqwest::Url;

/// Why a text is not a provider's base address. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of {provider} {fault}")]
pub struct BaseUrlError {
    /// Whose address it is: `sources/{name}` or `destinations/{name}`.
    pub provider: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// A provider's base address: HTTPS, or HTTP to this machine; a path, but no credentials, query or fragment.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    pub(crate) fn parse(provider: &str, text: &str) -> Result<Self, BaseUrlError> {
        let error = |fault| BaseUrlError { provider: provider.to_owned(), fault };
        let url = Url::parse(text).map_err(|_| error("cannot be read"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("holds credentials: they belong into its secret"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(error("has a query or a fragment"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(error("is not HTTPS, and not on this machine")),
            _ => return Err(error("is not HTTPS")),
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The address of a path below this one, or `None` if it would not be read as it is written: a path that does not
    /// start with a slash could change the host, and a dot segment would climb out.
    pub(crate) fn join(&self, path: &str) -> Option<Url> {
        let text = format!("{}{path}", self.0);
        let url = Url::parse(&text).ok()?;
        (path.starts_with('/') && url.as_str() == text).then_some(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BaseUrl, BaseUrlError> {
        BaseUrl::parse("sources/x", text)
    }

    #[test]
    fn only_tls_or_this_machine() {
        for good in [
            "https://api.example.com",
            "https://api.example.com/v2/",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let bad = [
            "http://api.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "file:///etc",
            "api.example.com",
            "",
            "https://api.example.com?a=b",
            "https://api.example.com#a",
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_names_the_provider_and_no_credentials() {
        let error = parse("https://admin:hunter2@api.example.com").unwrap_err();
        assert_eq!(error.to_string(), "the address of sources/x holds credentials: they belong into its secret");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn paths_stay_below_the_base() {
        let base = parse("https://api.example.com/base/").unwrap();
        assert_eq!(base.join("/v1/a%2Fb?x=1").unwrap().as_str(), "https://api.example.com/base/v1/a%2Fb?x=1");
        for path in ["v1", "@evil.example", ".evil.example", "/../v1", "/v1/..", "/v1/%2e%2e/x", "/a b", "/\\x", ""] {
            assert!(base.join(path).is_none(), "{path}");
        }
    }
}
