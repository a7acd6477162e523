//! Posts to addresses that somebody else chose: to public ones only, whatever their names resolve to.
//!
//! The address that a connection goes to is the very one that was looked at: the names are resolved by a resolver that lets
//! only public addresses through, so a name that resolves otherwise a moment later gains nothing. An address that stands in
//! the URL itself is no name and never gets there, so it is looked at before. Nothing of an answer but its status and
//! `Retry-After` is read.

use crate::{
    http::{HttpError, innermost, roots},
    refusal::wish,
};
use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect, retry,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use url::Host;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one post may take, until its status is there.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The port of HTTPS.
const HTTPS: u16 = 443;

/// Which addresses may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public ones, over HTTPS.
    Public,
    /// This machine's own as well, and without TLS: for a trial on it.
    ThisMachineToo,
}

/// How a name is resolved.
type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The client for such posts. Clones share it: make one a process.
#[derive(Clone)]
pub struct Hooks {
    client: Client,
    reach: Reach,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hooks").field(&self.reach).finish()
    }
}

/// A post.
#[derive(Debug)]
pub struct Hook<'a> {
    /// Where to.
    pub url: &'a SecretString,
    /// The port, if it is not that of HTTPS.
    pub port: Option<u16>,
    /// Its headers, beside the type of its content, which is JSON.
    pub headers: &'a [(&'static str, String)],
    /// Its body.
    pub body: Vec<u8>,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// How long it asks us to wait.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer. It does not repeat the address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Nothing is ever posted to such an address.
    #[error("the address {0}")]
    Address(&'static str),
    /// It was not reached, or did not answer.
    #[error("no answer: {0}")]
    Unanswered(String),
}

impl Hooks {
    /// A client that resolves names as this machine does.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, HttpError> {
        Self::with_lookup(reach, async |name: String| {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }

    /// A client that resolves names as this says, for tests.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub fn with_lookup<F>(reach: Reach, lookup: impl Fn(String) -> F + Send + Sync + 'static) -> Result<Self, HttpError>
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let lookup: Lookup = Arc::new(move |name| Box::pin(lookup(name)));
        let client = Client::builder()
            .tls_certs_only(roots()?)
            .https_only(reach == Reach::Public)
            .dns_resolver(Filter { reach, lookup })
            .connect_timeout(CONNECT_TIMEOUT)
            // Each post connects anew, to an address that was looked at for it.
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .user_agent(concat!("certbridge/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, reach })
    }

    /// Posts, once, within `timeout`.
    ///
    /// # Errors
    /// The address may not be reached, or there was no answer.
    pub async fn post(&self, hook: Hook<'_>, timeout: Duration, now: Timestamp) -> Result<Answered, HookError> {
        let url = self.checked(hook.url.expose_secret(), hook.port).map_err(HookError::Address)?;
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").timeout(timeout);
        for (name, value) in hook.headers {
            request = request.header(*name, value);
        }
        let answer = request.body(hook.body).send().await;
        let answer = answer.map_err(|error| HookError::Unanswered(innermost(&error)))?;
        Ok(Answered { status: answer.status().as_u16(), retry_after: wish(answer.headers(), now) })
    }

    /// The address, if something may be posted to it; or what is wrong with it.
    fn checked(&self, text: &str, port: Option<u16>) -> Result<Url, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "cannot be read")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds credentials");
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err("names no host"),
        };
        let here = self.reach == Reach::ThisMachineToo
            && (address.is_some_and(|address| address.is_loopback()) || url.host_str() == Some("localhost"));
        match url.scheme() {
            "https" => {}
            "http" if here => {}
            _ => return Err("is not HTTPS"),
        }
        if !here && url.port_or_known_default() != Some(port.unwrap_or(HTTPS)) {
            return Err("has another port than 443, or than the one that is declared");
        }
        if address.is_some_and(|address| !may_reach(self.reach, address)) {
            return Err("is not public");
        }
        Ok(url)
    }
}

/// Resolves names, and lets only those addresses through that may be reached.
struct Filter {
    reach: Reach,
    lookup: Lookup,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, found) = (self.reach, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let addresses: Vec<_> = found.await?.into_iter().filter(|address| may_reach(reach, *address)).collect();
            if addresses.is_empty() {
                return Err("the name has no public address".into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn may_reach(reach: Reach, address: IpAddr) -> bool {
    is_public(address) || reach == Reach::ThisMachineToo && address.is_loopback()
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// What is not public of IPv4 (IANA's registry of special addresses). Where clouds keep their metadata is among it.
const PRIVATE_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(168, 63, 129, 16, 32),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// What IPv6 has given out. All else is not public, IPv4 in its disguises (`::ffff:0:0/96`, `64:ff9b::/96`) among it.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);
/// What is not public of that: protocols (Teredo among them), documentation, 6to4.
const PRIVATE_V6: [Ipv6Net; 4] = [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)];

/// Whether an address is one of the internet's at large.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => GLOBAL_V6.contains(&address) && !PRIVATE_V6.iter().any(|net| net.contains(&address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "172.32.0.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    fn hooks(reach: Reach) -> Hooks {
        Hooks::with_lookup(reach, async |_| Ok(Vec::new())).unwrap()
    }

    #[test]
    fn addresses_are_looked_at_however_they_are_written() {
        let hooks = hooks(Reach::Public);
        for (url, port) in [
            ("https://hooks.example.com/a?b=c", None),
            ("https://hooks.example.com:443/", None),
            ("https://hooks.example.com:8443/", Some(8443)),
            ("https://1.1.1.1/", None),
            ("https://[2606:4700::1111]/", None),
        ] {
            assert!(hooks.checked(url, port).is_ok(), "{url}");
        }
        for url in [
            "http://hooks.example.com/",
            "ftp://hooks.example.com/",
            "file:///etc/passwd",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com:80/",
            "https://user@hooks.example.com/",
            "https://user:pass@hooks.example.com/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[fd00:ec2::254]/",
            "http://127.0.0.1:3000/",
            "http://localhost:3000/",
            "hooks.example.com",
            "",
        ] {
            assert!(hooks.checked(url, None).is_err(), "{url}");
        }
        assert!(hooks.checked("https://hooks.example.com/", Some(8443)).is_err(), "the declared one and no other");
    }

    #[test]
    fn a_trial_reaches_this_machine_and_no_other_that_is_not_public() {
        let hooks = hooks(Reach::ThisMachineToo);
        for url in ["http://127.0.0.1:3000/", "http://localhost:3000/", "http://[::1]:1/", "https://1.1.1.1/"] {
            assert!(hooks.checked(url, None).is_ok(), "{url}");
        }
        for url in
            ["http://10.0.0.1/", "http://hooks.example.com/", "https://169.254.169.254/", "https://[::ffff:127.0.0.1]/"]
        {
            assert!(hooks.checked(url, None).is_err(), "{url}");
        }
    }

    /// What the resolver lets through of what a name resolves to.
    async fn through(reach: Reach, found: &[&str]) -> Option<Vec<String>> {
        let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        });
        let name = "hooks.example.com".parse().unwrap();
        let addresses = Filter { reach, lookup }.resolve(name).await.ok()?;
        Some(addresses.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn of_what_a_name_resolves_to_only_the_public_is_used() {
        assert_eq!(through(Reach::Public, &["127.0.0.1", "1.1.1.1", "10.0.0.1"]).await.unwrap(), ["1.1.1.1"]);
        assert_eq!(through(Reach::Public, &["127.0.0.1", "::1", "::ffff:1.1.1.1"]).await, None);
        assert_eq!(through(Reach::Public, &[]).await, None);
        assert_eq!(through(Reach::ThisMachineToo, &["127.0.0.1", "10.0.0.1"]).await.unwrap(), ["127.0.0.1"]);
    }
}
