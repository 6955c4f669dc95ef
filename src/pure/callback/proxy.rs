//! Which proxy of the environment a callback goes through, where the operator asks for one.
//!
//! The variables are those of curl. A proxy never gets what is meant for this machine. Must not ask
//! the environment: the daemon reads it once.

use super::destination::Origin;

/// The proxies of the environment.
#[derive(Clone, Debug, Default)]
pub struct EnvProxies {
    /// Name in lower case and value; the spelling in lower case comes first, since it counts first.
    variables: Vec<(String, String)>,
}

impl EnvProxies {
    /// Takes a variable of the environment, if it is one of them.
    pub fn take(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        let is_known = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
        if value.is_empty() || !is_known.contains(&lower.as_str()) {
            return;
        }
        let at = if name == lower { 0 } else { self.variables.len() };
        self.variables.insert(at, (lower, value.into()));
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The proxy for what goes there.
    pub fn of(&self, origin: &Origin) -> Option<&str> {
        if origin.is_loopback() || self.is_excepted(&origin.host.to_string()) {
            return None;
        }
        let own = if origin.is_https { "https_proxy" } else { "http_proxy" };
        self.get(own).or_else(|| self.get("all_proxy"))
    }

    /// `no_proxy` holds names and domains, with or without a full stop in front, or `*`.
    fn is_excepted(&self, host: &str) -> bool {
        self.get("no_proxy").unwrap_or_default().split(',').any(|entry| {
            let entry = entry.trim().to_ascii_lowercase();
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            let is_below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
            entry == "*" || !domain.is_empty() && (host == domain || is_below())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_follows_from_the_scheme_and_the_host() {
        let mut proxies = EnvProxies::default();
        for (name, value) in [
            ("HTTP_PROXY", "http://upper"),
            ("http_proxy", "http://lower"),
            ("HTTPS_PROXY", ""),
            ("ALL_PROXY", "http://all"),
            ("NO_PROXY", "hooks.example, .internal,*.corp,10.0.0.1"),
            ("FTP_PROXY", "http://ftp"),
        ] {
            proxies.take(name, value);
        }
        for (url, want) in [
            ("http://h/", Some("http://lower")),
            ("https://h/", Some("http://all")),
            ("http://hooks.example:8080/", None),
            ("http://a.hooks.example/", None),
            ("http://unhooks.example/", Some("http://lower")),
            ("http://x.internal/", None),
            ("http://x.corp/", None),
            ("http://10.0.0.1/", None),
            ("http://10.0.0.2/", Some("http://lower")),
            ("http://127.0.0.1:1/", None),
            ("http://127.8.9.1/", None),
            ("https://[::1]/", None),
            ("https://localhost/", None),
            ("https://a.localhost./", None),
        ] {
            let origin = Origin::of_url(url).expect("a URL");
            assert_eq!(proxies.of(&origin), want, "{url}");
        }
    }
}
