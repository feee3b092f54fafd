//! A directory of manifests, as a source of objects.
//!
//! ```text
//! file -> [ yaml: Node ] -> [ file: Entry, Diagnostic ] -> [ Directory ] -> Batch -> the engine
//!                                                            ^  \--> [ SourceLocations ] -> the admin interface
//!                        [ watch ]: changed files, and times to look
//! ```
//!
//! Every error has its file and line. A file that cannot be parsed keeps its last good state.

mod diagnostic;
mod directory;
mod file;
mod locations;
mod node;
mod scalar;
mod unique;
pub mod watch;
mod yaml;

pub use self::{
    diagnostic::{Diagnostic, Severity},
    directory::{Directory, Look, manifest_name},
    file::{Entry, File, objects, read},
    locations::SourceLocations,
    node::{Content, Key, Node, Position, Positions, Span},
    scalar::resolve,
    yaml::{Documents, SyntaxError, documents},
};
