//! Kinds of lookups.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Display},
    sync::Arc,
    time::Duration,
};
use switchyard_core::{ObjectId, object::Object};

/// A kind of lookup, of names in objects, whose values are refreshed for the graph.
pub trait Lookup: Debug {
    /// The parameters that an object sets for a lookup.
    type Use: Clone + Debug + PartialEq;
    type Value: Clone + Debug + PartialEq;
    type Error: Display;
    /// The name of the kind in the log.
    const SUBJECT: &'static str;
    /// The longest wait after failures.
    const LONGEST_RETRY: Duration;

    /// The names in an object.
    fn uses(object: &Object) -> Uses<Self::Use>;
    /// The ID of a name's object in the graph.
    fn id(name: Arc<str>) -> ObjectId;
    /// The object for the graph. An error means that there is no earlier value.
    fn object(name: Arc<str>, value: Result<Self::Value, String>) -> Object;
    /// A value in words, for the log.
    fn describe(value: &Self::Value) -> String;
    /// The wait after a success.
    fn refresh(&self, max_age: Option<Duration>, uses: &[Self::Use]) -> Duration;
}

/// The outcome of a successful lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<V> {
    pub value: V,
    /// The time for which its source permits to keep it.
    pub max_age: Option<Duration>,
}

/// The names in an object, each with its parameters.
pub type Uses<U> = BTreeMap<Arc<str>, U>;
