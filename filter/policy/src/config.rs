//! The filter's configuration, as users write it and as control sends it.
//!
//! ```json
//! {
//!   "switches": {
//!     "blue-green.bar.com/": {
//!       "root": "default/blue-green-root",
//!       "prefix": "/",
//!       "active": "default/blue",
//!       "standby": ["default/green"],
//!       "branches": {
//!         "default/blue":  [{"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}}],
//!         "default/green": [{"prefix": "/", "leaf": {"clusters": [{"name": "green"}]}}]
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! Unknown fields and values out of range are rejected, with the path of the field.

mod check;
mod error;
mod field_path;
mod key_part;
pub(crate) mod parse;
pub mod policy;
mod routing;
#[cfg(feature = "schema")]
pub mod schema;
pub mod value;

pub use check::fields::check_rewrite;
pub use error::Error;
pub use field_path::FieldPath;
pub use policy::Policy;
pub use routing::{
    Canary, Config, Leaf, PlainRoute, Preview, Route, Sticky, Switch, Target, WeightedCluster,
};

#[cfg(test)]
mod tests;
