//! Kubernetes objects in, a routing table out.
//!
//! ```text
//! [ Object ] -> [ Graph ] -> [ Table ]   what the proxies are to do
//!                        \-> [ Status ]  what the objects' owners are told
//! ```
//!
//! Everything here is synchronous and pure: one owner applies objects to a [`Graph`], commits, and reads what
//! changed. There is no Kubernetes client, no protobuf and no runtime below this line.

pub mod address;
pub mod duration;
pub mod graph;
pub mod ingressroute;
pub mod jwks;
pub mod object;
pub mod path;
pub mod status;
pub mod table;
pub mod tree;

pub use self::{
    graph::{Blocker, Change, Graph, HostSnapshot, Settings},
    object::{Name, Object, ObjectId},
    status::{Status, StatusError},
    table::Table,
};
