//! Where in an IngressRoute something is wrong.

use std::fmt;

/// A field of an IngressRoute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Namespace,
    Fqdn,
    /// A field of `spec.virtualhost.tls`.
    Tls(&'static str),
    /// A policy of the virtualhost, or a field of it.
    VirtualHost(String),
    /// A field of `spec.routes[i]`.
    Route(usize, RouteField),
    TcpProxy(RouteField),
    /// A field that there is none of: its whole path.
    Unknown(String),
}

/// A field of a route, or of the tcpproxy, which has some of the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouteField {
    Whole,
    Match,
    PrefixRewrite,
    Services,
    /// A field of `services[i]`.
    Service(usize, &'static str),
    Delegate,
    /// A field of `delegate`.
    DelegateField(&'static str),
    /// `delegate.standby[i]`.
    Standby(usize),
    /// A policy, or a field of it, from the level down: `auth[1].jwt.jwks`.
    Policy(String),
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("metadata.namespace"),
            Self::Fqdn => f.write_str("spec.virtualhost.fqdn"),
            Self::Tls(field) => write!(f, "spec.virtualhost.tls.{field}"),
            Self::VirtualHost(path) => write!(f, "spec.virtualhost.{path}"),
            Self::Route(index, field) => write!(f, "spec.routes[{index}]{field}"),
            Self::TcpProxy(field) => write!(f, "spec.tcpproxy{field}"),
            Self::Unknown(path) => f.write_str(path),
        }
    }
}

// === impl RouteField ===

impl fmt::Display for RouteField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Match => f.write_str(".match"),
            Self::PrefixRewrite => f.write_str(".prefixRewrite"),
            Self::Services => f.write_str(".services"),
            Self::Service(index, field) => write!(f, ".services[{index}].{field}"),
            Self::Delegate => f.write_str(".delegate"),
            Self::DelegateField(field) => write!(f, ".delegate.{field}"),
            Self::Standby(index) => write!(f, ".delegate.standby[{index}]"),
            Self::Policy(path) => write!(f, ".{path}"),
        }
    }
}
