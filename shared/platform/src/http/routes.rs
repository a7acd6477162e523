//! The routes, and the scope of the key that opens each: one table for the authorizer, the local gateway and the test
//! that holds the template to it.

/// A route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// As the gateway names it: method, space, path with `{name}` for what is a parameter.
    pub key: &'static str,
    /// The function that answers.
    pub function: &'static str,
    /// The scope that a caller's key needs; `None` where the handler proves the caller itself, or anyone may call.
    pub scope: Option<&'static str>,
}

/// All routes.
pub const ROUTES: &[Route] = &[
    Route { key: "POST /webhooks/{source}", function: "webhook", scope: None },
    Route { key: "POST /webhooks/{source}/{token}", function: "webhook", scope: None },
    Route { key: "POST /certificates/{id}/sync", function: "sync-certificate", scope: Some("sync:write") },
    Route { key: "POST /records/{kind}/{source}/{id}/sync", function: "sync-certificate", scope: Some("sync:write") },
    Route { key: "GET /locations", function: "sync-certificate", scope: Some("records:read") },
    Route { key: "POST /batch_sync", function: "api", scope: Some("batch:run") },
    Route { key: "GET /batches", function: "api", scope: Some("records:read") },
    Route { key: "GET /batches/{id}", function: "api", scope: Some("records:read") },
    Route { key: "GET /batches/{id}/report", function: "api", scope: Some("records:read") },
    Route { key: "GET /certificates", function: "api", scope: Some("records:read") },
    Route { key: "GET /certificates/{id}", function: "api", scope: Some("records:read") },
    Route { key: "GET /certificates/{id}/audit", function: "api", scope: Some("audit:read") },
    Route { key: "GET /certificates/{id}/history", function: "api", scope: Some("audit:read") },
    Route { key: "GET /records/{kind}", function: "api", scope: Some("records:read") },
    Route { key: "GET /records/{kind}/{source}/{id}", function: "api", scope: Some("records:read") },
    Route { key: "GET /records/{kind}/{source}/{id}/audit", function: "api", scope: Some("audit:read") },
    Route { key: "GET /records/{kind}/{source}/{id}/history", function: "api", scope: Some("audit:read") },
    Route { key: "GET /summary", function: "api", scope: Some("records:read") },
    Route { key: "GET /audit/checkpoints", function: "api", scope: Some("audit:read") },
    Route { key: "GET /events", function: "api", scope: Some("records:read") },
    Route { key: "POST /events/{source}/{id}/replay", function: "api", scope: Some("sync:write") },
    Route { key: "GET /mappings", function: "api", scope: Some("records:read") },
    Route { key: "POST /mappings/preview", function: "api", scope: Some("records:read") },
    Route { key: "GET /dashboard", function: "api", scope: None },
    Route { key: "GET /openapi.json", function: "api", scope: None },
    Route { key: "GET /health", function: "api", scope: None },
];

/// The route of this key.
pub fn route(key: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.key == key)
}

impl Route {
    /// What stands in a path for the route's parameters, undecoded; `None` if the route is another one. A parameter is
    /// one whole segment, and not an empty one.
    pub fn parameters<'p>(&self, method: &str, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
        let (wanted, pattern) = self.key.split_once(' ')?;
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        if wanted != method || pattern.clone().count() != path.clone().count() {
            return None;
        }
        let mut parameters = Vec::new();
        for (pattern, segment) in pattern.zip(path) {
            match pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if !segment.is_empty() => parameters.push((name, segment)),
                None if pattern == segment => {}
                _ => return None,
            }
        }
        Some(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let found = |method: &str, path: &'static str| {
            ROUTES.iter().find_map(|route| Some((route.key, route.parameters(method, path)?)))
        };
        assert_eq!(found("POST", "/webhooks/x"), Some(("POST /webhooks/{source}", vec![("source", "x")])));
        assert_eq!(
            found("POST", "/webhooks/x/y"),
            Some(("POST /webhooks/{source}/{token}", vec![("source", "x"), ("token", "y")]))
        );
        assert_eq!(found("POST", "/certificates/a%2Fb/sync"), Some((ROUTES[2].key, vec![("id", "a%2Fb")])));
        assert_eq!(found("GET", "/batches/b/report"), Some(("GET /batches/{id}/report", vec![("id", "b")])));
        for (method, path) in [
            ("GET", "/webhooks/x"),
            ("POST", "/webhooks/"),
            ("POST", "/webhooks"),
            ("POST", "/webhooks/x/y/z"),
            ("POST", "//webhooks/x"),
            ("POST", "/certificates/a/b/sync"),
            ("POST", "/certificates/a/sync/"),
            ("POST", ""),
            ("GET", "/batch_sync"),
            ("GET", "/batches/"),
            ("GET", "/batches/b/report/csv"),
        ] {
            assert_eq!(found(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn keys_are_unique_and_well_formed() {
        for route in ROUTES {
            assert_eq!(super::route(route.key), Some(route));
            let path = route.key.split_once(' ').unwrap().1;
            assert!(path.starts_with('/') && !path.ends_with('/'), "{}", route.key);
        }
    }
}
