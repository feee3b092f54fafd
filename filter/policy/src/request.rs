//! The parts of a request that decisions use.

/// A request to decide.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The Envoy route that the request is on, which is the key of its switch.
    pub route_name: &'a str,
    pub headers: &'a dyn RequestHeaderMap,
}

/// The headers of a request. Getting them is expensive, and most decisions do without.
pub trait RequestHeaderMap {
    /// The request target, `:path`.
    fn target(&self) -> &[u8];

    /// All headers, names in lower case, pseudo-headers included.
    fn all(&self) -> &[(String, Vec<u8>)];
}

// === impl Request ===

impl<'a> Request<'a> {
    /// The requested host; empty if there is none.
    #[must_use]
    pub fn authority(&self) -> &'a str {
        let value = self.values(":authority").next();
        value
            .and_then(|value| str::from_utf8(value).ok())
            .unwrap_or_default()
    }

    /// The method; empty if there is none.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.values(":method").next().unwrap_or_default()
    }

    /// The values of a header, by its name in lower case.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        // Envoy has turned `host` into `:authority`.
        let name = if name == "host" { ":authority" } else { name };
        let headers = self.headers.all().iter();
        let named = headers.filter(move |(header, _)| header == name);
        named.map(|(_, value)| value.as_slice())
    }

    /// The path, without the query; `None` if it is not UTF-8.
    #[must_use]
    pub fn path(&self) -> Option<&'a str> {
        str::from_utf8(self.raw_path()).ok()
    }

    /// The path, without the query.
    #[must_use]
    pub fn raw_path(&self) -> &'a [u8] {
        let target = self.headers.target();
        let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
        end.and_then(|end| target.get(..end)).unwrap_or(target)
    }

    /// Returns true if the client uses TLS, to Envoy or to a proxy in front of it.
    #[must_use]
    pub fn is_https(&self) -> bool {
        let forwarded = self.values("x-forwarded-proto").next();
        forwarded.or_else(|| self.values(":scheme").next()) == Some(b"https".as_slice())
    }

    /// Returns true if Envoy takes the request for a gRPC call, which is answered by a gRPC status.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        let mut types = self.values("content-type");
        types.any(|value| {
            let rest = value.strip_prefix(b"application/grpc");
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
        })
    }
}
