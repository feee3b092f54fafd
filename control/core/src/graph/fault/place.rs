//! Where in an IngressRoute something is wrong.

use std::{borrow::Cow, fmt};

/// A field of an IngressRoute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Namespace,
    Fqdn,
    /// A field of `spec.virtualhost.tls`.
    Tls(&'static str),
    /// A policy of the virtualhost, or a field of it.
    VirtualHost(Path),
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
    /// A policy, or a field of it.
    Policy(Path),
}

/// A field of a level's policies, from the level down: `auth[1].jwt.jwks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(Cow<'static, str>),
    Index(usize),
}

/// A [`Path`] while it is gone down: it costs nothing where nothing is wrong.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    above: Option<&'a Self>,
    step: Step,
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

// === impl Path ===

/// Reads a path as it is shown.
impl From<&str> for Path {
    fn from(text: &str) -> Self {
        let index = |step: &str| step.strip_suffix(']')?.parse().ok();
        let step = |step: &str| match index(step) {
            Some(index) => Step::Index(index),
            None => Step::Field(step.to_owned().into()),
        };
        Self(text.split(['.', '[']).map(step).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

// === impl At ===

impl<'a> At<'a> {
    /// A field of the level itself.
    pub(crate) fn top(name: &'static str) -> Self {
        Self {
            above: None,
            step: Step::Field(name.into()),
        }
    }

    pub(crate) fn field(&'a self, name: &'static str) -> Self {
        Self {
            above: Some(self),
            step: Step::Field(name.into()),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self {
            above: Some(self),
            step: Step::Index(index),
        }
    }

    pub(crate) fn path(&self) -> Path {
        let mut steps: Vec<_> = std::iter::successors(Some(self), |at| at.above)
            .map(|at| at.step.clone())
            .collect();
        steps.reverse();
        Path(steps)
    }
}
