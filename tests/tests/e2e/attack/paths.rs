//! Paths that the edge may read differently from the upstream, or one part of the edge differently from another.

use super::{Case, HOSTS, KEY, Site, Want, get};
use Want::{Asked, Open, Refused, Told};
use anyhow::Result;

/// The requested path, and the outcome.
const PATHS: &[(&str, Want)] = &[
    // Regular spellings.
    ("/admin", Asked("/admin")),
    ("/admin/", Asked("/admin/")),
    ("/admin?", Asked("/admin?")),
    ("/admin/secret", Asked("/admin/secret")),
    // Slashes.
    ("//admin/secret", Asked("/admin/secret")),
    ("/admin//secret", Asked("/admin/secret")),
    ("///admin", Asked("/admin")),
    ("/\\admin", Asked("/admin")),
    ("\\admin", Refused),
    ("/%2fadmin", Told("/admin")),
    ("/%2Fadmin", Told("/admin")),
    ("/%5cadmin", Told("/admin")),
    ("%2fadmin", Refused),
    ("/admin%2fsecret", Told("/admin/secret")),
    ("/admin%5csecret", Told("/admin/secret")),
    // Dots.
    ("/./admin", Asked("/admin")),
    ("/admin/.", Asked("/admin/")),
    ("/x/../admin/secret", Asked("/admin/secret")),
    ("/x/y/../../admin", Asked("/admin")),
    ("/../admin", Asked("/admin")),
    ("/../../../admin", Asked("/admin")),
    ("/x/..//admin", Asked("/admin")),
    ("/x//../admin", Open("/x/admin")),
    ("/x\\..\\admin", Asked("/admin")),
    ("/%2e/admin", Asked("/admin")),
    ("/x/%2e%2e/admin", Asked("/admin")),
    ("/x/%2E%2E/admin", Asked("/admin")),
    ("/x/.%2e/admin", Asked("/admin")),
    ("/x/%2e./admin", Asked("/admin")),
    ("/x/%2e%2e%2fadmin", Told("/admin")),
    ("/x%2f..%2fadmin", Told("/admin")),
    ("/x/..%2fadmin", Told("/admin")),
    ("/x/..%5cadmin", Told("/admin")),
    ("/admin/x/../secret", Asked("/admin/secret")),
    ("/admin/../admin/secret", Asked("/admin/secret")),
    ("/admin/..", Open("/")),
    ("/admin/../other", Open("/other")),
    ("/admin/%2e%2e/other", Open("/other")),
    ("/x/.../admin", Open("/x/.../admin")),
    // Parameters of segments.
    ("/x/..;/admin", Asked("/admin")),
    ("/x/..;a=b/admin", Asked("/admin")),
    ("/..;/admin", Asked("/admin")),
    ("/x/%2e%2e;/admin", Refused),
    ("/x/..%3b/admin", Refused),
    ("/x/..%3B/admin", Refused),
    ("/x/%2E%2E%3B/admin", Refused),
    ("/x/.%2e;a=b/admin", Refused),
    ("/%2e%2e;/admin", Refused),
    ("/x/%2e%2e;", Refused),
    ("/admin/%2e%2e;/x", Refused),
    ("/x/%252e%252e;/admin", Open("/x/%252e%252e;/admin")),
    ("/x/..;%2fadmin", Told("/admin")),
    ("/.;/admin", Asked("/admin")),
    ("/;/admin", Open("/;/admin")),
    ("/;a=b/admin", Open("/;a=b/admin")),
    ("/admin;/secret", Open("/admin;/secret")),
    ("/admin;a=b/secret", Open("/admin;a=b/secret")),
    ("/admin;a=b", Open("/admin;a=b")),
    ("/admin%3b/secret", Open("/admin%3b/secret")),
    ("/admin/;a=b", Asked("/admin/;a=b")),
    ("/x;/../admin", Asked("/admin")),
    ("/admin/..;/other", Open("/other")),
    // Percent-encoded characters.
    ("/%61dmin", Asked("/admin")),
    ("/%61%64%6d%69%6e", Asked("/admin")),
    ("/a%64min/secret", Asked("/admin/secret")),
    ("/%2561dmin", Open("/%2561dmin")),
    ("/%252e%252e/admin", Open("/%252e%252e/admin")),
    ("/%25%36%31dmin", Open("/%2561dmin")),
    ("/%u0061dmin", Open("/%u0061dmin")),
    ("/%admin", Open("/%admin")),
    ("/ADMIN", Open("/ADMIN")),
    ("/Admin/secret", Open("/Admin/secret")),
    ("/%41dmin", Open("/Admin")),
    ("/administrator", Open("/administrator")),
    ("/admin.", Open("/admin.")),
    ("/admin%20", Open("/admin%20")),
    ("/admin%09", Open("/admin%09")),
    ("/admin%00", Refused),
    ("/admin%0d%0aX-Y:z", Open("/admin%0d%0aX-Y:z")),
    ("/%c0%ae%c0%ae/admin", Open("/%c0%ae%c0%ae/admin")),
    ("/%c0%afadmin", Open("/%c0%afadmin")),
    ("/%ef%bc%8fadmin", Open("/%ef%bc%8fadmin")),
    ("/\u{ff0f}admin", Refused),
    // Queries and fragments.
    ("/admin?/../x", Asked("/admin?/../x")),
    ("/admin?x#/..", Refused),
    ("/admin#/../x", Refused),
    ("/#/../admin", Refused),
    ("/x?/../admin", Open("/x?/../admin")),
    ("/x?/..;/admin", Open("/x?/..;/admin")),
    ("/x?y=/..%3b/admin", Open("/x?y=/..%3b/admin")),
    ("/admin?/..;/x", Asked("/admin?/..;/x")),
    ("/x%3f/../admin", Asked("/admin")),
    ("/x%23/../admin", Asked("/admin")),
    // Targets without a path.
    ("admin", Refused),
    ("*", Refused),
    ("", Refused),
    ("/admin /x", Refused),
    ("/admin\t", Asked("/admin")),
    ("/admin\0", Refused),
    ("/admin\u{b}", Refused),
    ("/admin\r/x", Refused),
];

pub(super) fn cases(host: &str) -> impl Iterator<Item = Case> {
    PATHS.iter().map(move |(path, want)| Case {
        what: format!("{host} {path:?}"),
        control: get(host, "/admin/secret", ""),
        attack: get(host, path, ""),
        credential: KEY,
        want: *want,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_spellings_do_not_bypass_auth() -> Result<()> {
    let cases = HOSTS.iter().flat_map(|host| cases(host));
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}
